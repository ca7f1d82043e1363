"""Gates: which experts work on a sample, and with which weights."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from polymnia.data.batch import Batch
from polymnia.layers.projectors import masked_mean


class Choice(NamedTuple):
    """The experts (B, K) of each sample, and their weights (B, K), which sum to 1."""

    experts: Tensor
    weights: Tensor


class Gate(nn.Module):
    """Softmax gate: h = the modalities' token means side by side, g = softmax(W h), the K largest, renormalised.

    W is one weight (E, d_m) a modality, so that a modality can arrive later. What is renormalised over the K largest
    is the softmax over their logits alone: an expert outside the K largest has no influence, and gets no gradient.

    A new expert's row of W is 0 [X]: its logit is 0, so it changes nothing for a sample that has K logits above 0,
    and displaces the weakest expert of any other; a new expert adds zero. A later modality's columns are 0, so that
    old decisions stay.

    Parameters
    ----------
    active : int
        K.
    own : bool
        Each modality has a gate of its own, which sees nothing else. A shared gate tells each modality of the
        others, whatever the experts do (specification §7.1).
    noise : bool
        In training, add to each logit normal noise of learned width: softplus(W' h) + 0.01.
    keep_rows : bool
        Rows given to `keep`, those of frozen experts, never change; but the columns of a modality that is later
        than that are zeros for them.

    Source: Chee et al. 2025 (gate, top-K); noise: Shazeer et al. 2017, eq. 4; renormalising is left open there.
    """

    held: Tensor

    def __init__(self, active: int, *, own: bool = False, noise: bool = False, keep_rows: bool = False) -> None:
        super().__init__()
        self.active, self.own, self.noise, self.keep_rows = active, own, noise, keep_rows
        self.weights, self.widths = nn.ParameterDict(), nn.ParameterDict()
        self.kept = nn.Module()
        self.register_buffer("held", torch.zeros(0, dtype=torch.bool))

    def grow(self, experts: int, widths: Mapping[str, int]) -> None:
        """Add rows for new experts, and a weight for each modality that is new."""
        before = len(self.held)
        for weights in (self.weights, self.widths):
            for m, weight in weights.items():
                weights[m] = nn.Parameter(_longer(weight.detach(), experts), requires_grad=weight.requires_grad)
        for m, width in sorted(widths.items()):
            if m not in self.weights:
                late = before and not self.own  # a gate of one's own has no old decisions to keep
                self.weights[m] = nn.Parameter(
                    torch.zeros(experts, width) if late else nn.Linear(width, experts, bias=False).weight.detach()
                )
                if self.noise:
                    self.widths[m] = nn.Parameter(torch.zeros(experts, width))
        if self.keep_rows:
            for m, weight in self.weights.items():
                kept = self._kept(m) if hasattr(self.kept, f"of_{m}") else weight.new_zeros(0, weight.shape[1])
                self.kept.register_buffer(f"of_{m}", _longer(kept, experts))
        self.held = _longer(self.held, experts)

    @torch.no_grad()
    def keep(self, experts: Sequence[int]) -> None:
        """Let these experts' rows stay as they are now, if it was made with `keep_rows`.

        They lie apart from the weight: AdamW moves an entry of a parameter even where its gradient is 0.
        """
        rows = list(experts)
        if self.keep_rows:
            for m, weight in self.weights.items():
                self._kept(m)[rows] = weight[rows]
            self.held[rows] = True

    def forward(self, batch: Batch, *, noisy: bool = False) -> dict[str, Choice]:
        """Return modality → its choice; all the same one if the gate is shared."""
        names = [m for m in batch.modalities if m in self.weights]
        means = {m: _mean(batch, m) for m in names}
        if self.own:
            return {m: self._choice([m], means, noisy=noisy) for m in names}
        return dict.fromkeys(names, self._choice(names, means, noisy=noisy)) if names else {}

    def rows(self, modality: str) -> Tensor:
        """Return (E, d), a modality's weight as it works."""
        weight: Tensor = self.weights[modality]
        return torch.where(self.held[:, None], self._kept(modality), weight) if self.keep_rows else weight

    def _choice(self, names: Sequence[str], means: Mapping[str, Tensor], *, noisy: bool) -> Choice:
        logits = torch.stack([linear(means[m], self.rows(m)) for m in names]).sum(0)  # (B, E)
        if self.noise and noisy:
            width = torch.stack([linear(means[m], self.widths[m]) for m in names]).sum(0)
            logits = logits + torch.randn_like(logits) * (softplus(width) + 0.01)
        top, experts = logits.topk(self.active, 1)
        return Choice(experts, top.softmax(1))

    def _kept(self, modality: str) -> Tensor:
        kept: Tensor = getattr(self.kept, f"of_{modality}")
        return kept


def _longer(rows: Tensor, length: int) -> Tensor:
    """Return the rows and zeros after them."""
    return torch.cat([rows, rows.new_zeros(length - len(rows), *rows.shape[1:])])


def _mean(batch: Batch, modality: str) -> Tensor:
    """Return (B, d), the mean of a modality's valid tokens; zero where it is missing."""
    mean = masked_mean(batch.values[modality], batch.valid.get(modality))
    present = batch.present.get(modality)
    return mean if present is None else torch.where(present[:, None], mean, 0.0)
