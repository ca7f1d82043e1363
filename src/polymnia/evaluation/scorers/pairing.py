"""`pairing`: how often a sample's other modality is found among those of all samples."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from polymnia.data.samples import Samples
from polymnia.evaluation.retrieval import retrieved
from polymnia.evaluation.scorers.base import Scorer, register
from polymnia.methods.base import Method

K = 10


@register("pairing")
class Pairing(Scorer):
    """Recall at 10 of exact retrieval by cosine between the representations of two modalities.

    It is the mean of both directions, and over pairs of modalities where samples have more than two. Only samples
    that have both take part; ten of them or fewer score 1 by counting. Ties count against the method.
    """

    metric = f"retrieval R@{K}"

    def score(
        self, method: Method, samples: Samples, *, among: Sequence[int] | None = None, batch_size: int = 512
    ) -> float | None:
        """Return the mean recall; None where fewer than two samples have two modalities that the model knows."""
        known = {m for outline in method.model.grown for m in outline.modalities}
        samples = samples.only([m for m in samples.modalities if m in known])
        found = _representations(method, samples, batch_size)
        scores = []
        for a, b in combinations(sorted(found), 2):
            both = samples.present[a] & samples.present[b]
            if int(both.sum()) > 1:
                ways = retrieved(found[a][both], found[b][both], ks=(K,))
                scores += [way.recall[K] for way in ways]
        return sum(scores) / len(scores) if scores else None


def _representations(method: Method, samples: Samples, batch_size: int) -> dict[str, Tensor]:
    """Return modality → (N, D), of the samples' modalities that the model represents."""
    parts: dict[str, list[Tensor]] = {}
    for batch in method.batches(samples, batch_size):
        for m, vectors in method.predict(batch).representations.items():
            if m in samples.modalities:
                parts.setdefault(m, []).append(vectors.float().cpu())
    return {m: torch.cat(rows) for m, rows in parts.items()}
