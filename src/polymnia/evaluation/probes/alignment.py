"""`alignment`: whether modalities keep apart, and whether each finds its class in the joint representation."""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.methods.base import Method

CHUNK = 256


@register("alignment")
class Alignment(Probe):
    """How the modalities' representations lie to each other and to the joint one, over all test sets.

    A modality's own view is compared with its view of the joint representation, where the model has views, and else
    its representation with the joint one.

    `cosine`: mean over samples and pairs of modalities of the cosine of the two; near 1 where modalities mix.
    `neighbours`: share of vectors whose nearest neighbour, among all vectors of all modalities, is of the same
    modality; 1 where modalities keep apart. `retrieval`: share of a modality's vectors whose nearest joint vector
    of *another* sample has the same class, mean over modalities. Empty with fewer than two modalities, or where the
    model has no joint representation.

    Source: what Chee et al. 2025 show as a picture of clusters; the figures are ours.
    """

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return the three figures."""
        own, joint, targets = gathered(method, stream)
        if len(own) < 2:
            return {}
        both = [(a, b, ~(a.isnan() | b.isnan()).any(1)) for a, b in combinations(own.values(), 2)]
        cosines = [(a[there] * b[there]).sum(1) for a, b, there in both]
        found = {m: own[m].isfinite().all(1) for m in own}
        figures = {
            "cosine": float(torch.cat(cosines).mean()),
            "neighbours": same_modality([own[m][found[m]] for m in own]),
            "retrieval": sum(retrieved(own[m][found[m]], joint[m][found[m]], targets[found[m]]) for m in own)
            / len(own),
        }
        return {name: value for name, value in figures.items() if value == value}  # no sample may have two modalities


def gathered(method: Method, stream: Stream) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Return modality → own and joint vectors (N, D) of length 1, NaN where it is missing, and targets (N,)."""
    own: dict[str, list[Tensor]] = {}
    joint: dict[str, list[Tensor]] = {}
    targets: list[Tensor] = []
    names = sorted({m for stage in stream for m in stage.test.modalities})
    for stage in stream:
        for batch in method.batches(stage.test, CHUNK):
            output = method.model.predict(batch)
            targets.append(batch.targets.cpu())
            for m in names:
                parts = output.views.get(m)
                if parts is None and m in output.representations and "joint" in output.representations:
                    parts = output.representations[m], output.representations["joint"]
                if parts is None:
                    parts = 2 * (torch.full((len(batch), 1), float("nan")),)
                for held, part in zip((own, joint), parts, strict=True):
                    vectors = normalize(part.float(), dim=1).cpu()
                    held.setdefault(m, []).append(vectors.masked_fill(~batch.has(m).cpu()[:, None], float("nan")))
    width = max((part.shape[1] for parts in own.values() for part in parts), default=0)
    stacked = [
        {m: torch.cat([part.expand(-1, width) for part in parts]) for m, parts in held.items()} for held in (own, joint)
    ]
    return stacked[0], stacked[1], torch.cat(targets)


def same_modality(groups: list[Tensor]) -> float:
    """Return the share of vectors (all of length 1) whose nearest other vector is of the same group.

    Examples
    --------
    >>> a, b = torch.tensor([[1.0, 0.0], [0.8, 0.6]]), torch.tensor([[0.0, 1.0]])
    >>> round(same_modality([a, b]), 3)  # the lone one has no neighbour of its own group
    0.667
    """
    vectors = torch.cat(groups)
    group = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor([len(g) for g in groups]))
    nearest = torch.cat([_nearest(vectors, rows) for rows in torch.arange(len(vectors)).split(CHUNK)])
    return float((group[nearest] == group).float().mean())


def _nearest(vectors: Tensor, rows: Tensor) -> Tensor:
    similar = vectors[rows] @ vectors.T
    similar[torch.arange(len(rows)), rows] = -torch.inf
    return similar.argmax(1)


def retrieved(own: Tensor, joint: Tensor, targets: Tensor) -> float:
    """Return the share of vectors (N, D) whose nearest joint vector of another sample has the same class.

    Examples
    --------
    >>> own = joint = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> round(retrieved(own, joint, torch.tensor([0, 0, 1])), 3)
    0.667
    """
    similar = own @ joint.T
    similar.fill_diagonal_(-torch.inf)
    return float((targets[similar.argmax(1)] == targets).float().mean())
