"""`codes`: how the codebook is used, and whether modalities share its codes."""

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.space import Space, has_space
from polymnia.methods.base import Method

SHARED, SINGLE = 0.2, 0.8


@register("codes")
class Codes(Probe):
    """Use of the codes by the test samples of all stages so far; each modality weighs the same.

    `codes`: how many there are. `used`: share of them that anything hits. `perplexity`: exp of the entropy of their
    use. `shared`, `single`: share of the codes used by either of two modalities to which each gives more than 20 % of
    the hits, and to which one gives more than 80 %; mean over every two modalities, because with five or more no code
    could get more than 20 % from each. `added`, `far`: codes that the last stage added, and the share of vectors that
    were farther from all codes than the rule allows, where the codebook tells.

    Source: Xia et al. 2023, figure 4 (shared and single-modal codes).
    """

    each = True

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return the figures; nothing without a codebook."""
        if not has_space(method):
            return {}
        space = Space(method, stream, stage)
        model: Any = method.model
        found = {m: space.all("test", m).codes for m in space.modalities}
        ids = {m: codes for m, codes in found.items() if codes is not None and codes.numel()}
        if not ids:
            return {}
        codebook = getattr(model, "codebook", None)
        count = len(codebook) if codebook is not None else 1 + max(int(codes.max()) for codes in ids.values())
        shares = torch.stack([_shares(codes, count) for codes in ids.values()])
        mixed = shares.mean(0)
        figures = {
            "codes": float(count),
            "used": float((mixed > 0).double().mean()),
            "perplexity": float(torch.special.entr(mixed).sum().exp()),
        }
        halves = [shared(a, b) for a, b in combinations(shares, 2)]
        if halves:
            figures["shared"], figures["single"] = (sum(part) / len(halves) for part in zip(*halves, strict=True))
        history = getattr(codebook, "history", None)
        if history:
            figures |= {"added": float(history[-1].added), "far": float(history[-1].share)}
        return {name: value for name, value in figures.items() if value == value}  # the first stage has no rule yet


def shared(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Return which share of the codes used by either is shared, and which is single-modal, of shares of hits (L,).

    Examples
    --------
    >>> shared(torch.tensor([0.5, 0.5, 0.0, 0.0]), torch.tensor([0.4, 0.05, 0.55, 0.0]))
    (0.3333333333333333, 0.6666666666666666)
    """
    used = (a + b) > 0
    part = a[used] / (a + b)[used]
    both = (part > SHARED) & (part < 1 - SHARED)
    one = (part > SINGLE) | (part < 1 - SINGLE)
    return float(both.double().mean()), float(one.double().mean())


def _shares(codes: Tensor, count: int) -> Tensor:
    hits = torch.bincount(codes.flatten(), minlength=count).double()
    return hits / hits.sum()
