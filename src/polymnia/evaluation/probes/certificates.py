"""`certificates`: whether outputs that were promised to stay are still the same, bit for bit."""

import hashlib
from typing import Any

import torch
from torch import Tensor

from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.space import clips, has_space, mediator
from polymnia.methods.base import Method

KEPT = 64
"""Test samples of a stage whose outputs are kept, of each of its modalities."""


@register("certificates")
class Certificates(Probe):
    """At the end of each stage, outputs and their hashes are kept for each of its modalities; later they are checked.

    What is kept is continuous vectors and ids of codes of the first 64 test samples that have the modality. A check
    encodes the same samples again, with the model as it is, and compares SHA-256 of the bytes.

    `identical M`, `codes identical M`: 1 where everything kept of modality M, at whichever stage, is the same to the
    last bit, else 0. `change M`: the largest absolute difference of a vector's number. `identical`, `change`: the same
    over all modalities but the mediator, whose way into the space may be trained on. `checks`: a row for each stage
    and modality kept. Nothing is promised between machines: another processor may round otherwise.
    """

    each = True
    state = ("kept",)

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self._made: list[dict[str, Any]] = []
        self._checks: list[dict[str, Any]] = []

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Check what earlier stages left, and keep what this one has."""
        if not has_space(method):
            return {}
        self._checks = [check(old, outputs(method, stream[old["index"]], old["modality"])) for old in self.kept]
        made = [
            {"index": stage.index, "stage": stage.name, "modality": m, **outputs(method, stage, m)}
            for m in stage.test.modalities
        ]
        self.kept = [*self.kept, *made]
        self._made = [{key: value for key, value in new.items() if not isinstance(value, Tensor)} for new in made]
        return _figures(self._checks, mediator(method)) | {"checks": self._checks}

    def record(self) -> dict[str, Any] | None:
        """Return the certificate of the stage: what was kept of it, and what became of earlier stages' outputs."""
        return {"kept": self._made, "checks": self._checks} if self._made else None


def outputs(method: Method, stage: Stage, modality: str) -> dict[str, Any]:
    """Return vectors (M, D), codes (M, steps) where there are some, and their hashes, for a stage's first samples."""
    held = stage.test.only([modality])
    found = clips(method, held.subset(torch.arange(min(KEPT, len(held)))), modality)
    made: dict[str, Any] = {"samples": len(found), "vectors": found.vectors, "vectors sha256": sha256(found.vectors)}
    if found.codes is not None:
        made |= {"codes": found.codes, "codes sha256": sha256(found.codes)}
    return made


def check(old: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return what became of kept outputs: `identical` and `codes identical` (0 or 1), and `change`."""
    same = old["vectors"].shape == now["vectors"].shape
    found = {
        "stage": old["stage"],
        "modality": old["modality"],
        "identical": float(old["vectors sha256"] == now["vectors sha256"]),
        "change": float((old["vectors"] - now["vectors"]).abs().max()) if same else float("nan"),
    }
    if "codes" in old:
        found["codes identical"] = float(old["codes sha256"] == now.get("codes sha256"))
    return found


def sha256(tensor: Tensor) -> str:
    """Return the hash of a tensor's type, shape and bytes."""
    held = tensor.detach().cpu().contiguous()
    content = held.reshape(-1).view(torch.uint8).numpy().tobytes() if held.numel() else b""
    return hashlib.sha256(f"{held.dtype}|{tuple(held.shape)}|".encode() + content).hexdigest()


def _figures(checks: list[dict[str, Any]], through: str | None) -> Figures:
    figures: Figures = {}
    worst = {"identical": min, "codes identical": min, "change": max}
    for name, of in worst.items():
        every: dict[str, list[float]] = {}
        for row in checks:
            if name in row:
                every.setdefault(row["modality"], []).append(row[name])
        figures |= {f"{name} {m}": of(values) for m, values in every.items()}
        others = [value for m, values in every.items() if m != through for value in values]
        if others:
            figures[name] = of(others)
    return figures
