"""`paths`: whether each stage's pairs are found as they were, through the paths that the stage left."""

from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from polymnia.data.samples import Samples
from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.probes.certificates import sha256
from polymnia.evaluation.retrieval import retrieved
from polymnia.evaluation.space import SIZE, clips, has_space
from polymnia.methods.base import Method

Vectors = dict[str, Tensor]
"""Modality → (N, D)."""


@register("paths")
class Paths(Probe):
    """Retrieval of each stage's test pairs through the paths of that stage, checked after each later one.

    A mediator may get a new path into the space at every stage. `pairs` goes the newest of each modality, which is
    what a user of the space goes; here both halves of a pair go the paths that their stage left. Where these are
    frozen, vectors and ranks stay the same to the last bit, which is compared by SHA-256 over all of the stage's pairs.

    `identical`: 1 where the vectors of all earlier stages' pairs, on the paths of their stage, are the same as at its
    end, else 0; `identical M`: those of modality M. `R@10`: mean over all stages so far and both ways on those paths.
    `table`: a row for each stage and ordered pair: `R@10 then` at the stage's end, `R@10` now on the stage's paths,
    `R@10 newest` now on the newest ones, and whether the vectors are `identical` (0 or 1; None for the newest stage).
    Empty where the model cannot go old paths.
    """

    each = True
    state = ("kept",)

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}  # stage → hashes of its modalities' vectors, and its table's rows

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return retrieval on old paths and on the newest ones, for the stages so far."""
        if not has_space(method) or not hasattr(method.model, "sequences"):
            return {}
        table: list[dict[str, Any]] = []
        same: dict[str, list[float]] = {}
        for old in stream.stages[: stage.index + 1]:
            pairs = paired(old)
            if len(pairs) < 2:
                continue
            through, newest = on_paths(method, pairs, old.index), on_newest(method, pairs)
            hashes = {m: sha256(vectors) for m, vectors in through.items()}
            found = {way: recall(through, *way) for way in permutations(sorted(through), 2)}
            then = self.kept.setdefault(old.name, {"hashes": hashes, "R@10": list(found.values())})
            equal = {m: float(then["hashes"][m] == now) for m, now in hashes.items()}
            earlier = old.index < stage.index
            for (a, b), was in zip(found, then["R@10"], strict=True):
                row = {"stage": old.name, "from": a, "to": b, "samples": len(pairs), "R@10 then": was}
                row |= {"R@10": found[a, b], "R@10 newest": recall(newest, a, b)}
                table.append(row | {"identical": min(equal[a], equal[b]) if earlier else None})
            for m, value in equal.items() if earlier else ():
                same.setdefault(m, []).append(value)
        figures: Figures = {f"identical {m}": min(values) for m, values in sorted(same.items())}
        if same:
            figures["identical"] = min(figures.values())
        return figures | ({"R@10": sum(row["R@10"] for row in table) / len(table)} if table else {}) | {"table": table}


def paired(stage: Stage) -> Samples:
    """Return the test samples of a stage that have all of its modalities."""
    there = torch.stack([stage.test.present[m] for m in stage.test.modalities]).all(0)
    return stage.test.subset(there.nonzero().flatten())


@torch.inference_mode()
def on_paths(method: Method, samples: Samples, stage: int) -> Vectors:
    """Return the vectors of samples as a stage left the paths into the space: means over steps."""
    model: Any = method.model
    was_training = model.training
    model.eval()
    try:
        found = [model.sequences(model.tokens(batch), stage=stage) for batch in method.batches(samples, SIZE)]
    finally:
        model.train(was_training)
    return {m: torch.cat([part[m] for part in found]).mean(1).float().cpu() for m in found[0]}


def on_newest(method: Method, samples: Samples) -> Vectors:
    """Return the vectors of samples as they are now."""
    return {m: clips(method, samples, m).vectors for m in samples.modalities}


def recall(vectors: Vectors, asked: str, found: str) -> float:
    """Return how often the right partner is among the ten nearest."""
    return retrieved(vectors[asked], vectors[found], ks=(10,))[0].recall[10]
