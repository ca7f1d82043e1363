"""`cross-cpc`: what one modality has said so far predicts what the other says next."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polymnia.errors import SettingsError, StateError
from polymnia.layers.objectives.base import Objective, register
from polymnia.layers.objectives.contrast import above, missed, products


@register("cross-cpc")
class CrossCPC(Objective):
    """Cross-modal contrastive predictive coding: each modality's past predicts the other's future, among all rows.

    ``c^a_t = LSTM_a(a_≤t)``, ``p = W^a_k c^a_t``, ``L^{a→b}`` is the mean over k, t and rows of
    ``−log [exp(b_{t+k} · p) / Σ_j exp(b_{j,t+k} · p)]``, and ``L = L^{a→b} + L^{b→a} + own · (L^{a→a} + L^{b→b})``.
    Negatives j are the other rows of the batch at the same step; scores are raw dot products. Two ways are added, not
    averaged, as in the source: where nothing can be predicted the loss is about (2 + 2 · own) · log B.

    Source: Xia et al. 2023, "Achieving cross modal generalization with multimodal unified representation" (NeurIPS),
    eq. 6; the terms inside a modality and their weight are in its released code. Unlike there, where one step is drawn
    for a batch, all steps t with t + k < N count: that uses everything and draws nothing. The denominator is over
    candidates for a context, as in eq. 6 (in the code of a follow-up, Huang et al. 2025, it is over contexts).
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How far ahead, how much within a modality, how deep."""

        ahead: int = 1
        """K: the farthest step that is predicted."""
        own: float = 0.1
        """The weight of predicting a modality from itself."""
        layers: int = 1
        """Of the LSTM; the paper says 1, its code has 2."""

        def __post_init__(self) -> None:
            above("ahead", self.ahead, 1, equal=True)
            above("own", self.own, 0, equal=True)
            above("layers", self.layers, 1, equal=True)

    settings: Settings

    def __init__(self, width: int, steps: int, settings: Settings | None = None) -> None:
        super().__init__(width, steps, settings)
        self._long_enough(steps)
        self.past, self.next = nn.ModuleDict(), nn.ModuleDict()

    def grow(self, modalities: Sequence[str]) -> None:
        """Add the LSTM and the K maps of new modalities."""
        for m in sorted(modalities):
            if m not in self.past:
                self.past[m] = nn.LSTM(self.width, self.width, self.settings.layers, batch_first=True)
                maps = [nn.Linear(self.width, self.width, bias=False) for _ in range(self.settings.ahead)]
                self.next[m] = nn.ModuleList(maps)

    def between(self, one: str, a: Tensor, other: str, b: Tensor) -> Tensor:
        """Return a scalar, both ways and with the terms within a modality.

        Raises
        ------
        SettingsError
            The sequences are too short for `ahead`.
        StateError
            It has not grown by one of the modalities.
        """
        if len(a) < 2:
            return (a.sum() + b.sum()) * 0.0
        from_one, from_other = self._predicted(one, a), self._predicted(other, b)
        crossed = _lost(from_one, b) + _lost(from_other, a)
        return crossed + self.settings.own * (_lost(from_one, a) + _lost(from_other, b))

    def compared(self, one: str, a: Tensor, other: str, b: Tensor) -> list[Tensor]:
        """Return the scores (N − k, B, B) of contexts against the other modality's steps, both ways, for each k."""
        return _scores(self._predicted(one, a), b) + _scores(self._predicted(other, b), a)

    def _predicted(self, modality: str, sequences: Tensor) -> list[Tensor]:
        """Return for each k the predictions (B, N − k, D) of the steps k, k + 1, …"""
        self._long_enough(sequences.shape[1])
        if modality not in self.past:
            known = ", ".join(self.past) or "(none)"
            raise StateError(f"cross-cpc has no weights for {modality!r}; it has grown by: {known}. Call grow first.")
        context, _ = self.past[modality](sequences)
        maps: nn.ModuleList = self.next.get_submodule(modality)  # ty: ignore[invalid-assignment]
        return [ahead(context[:, :-k]) for k, ahead in enumerate(maps, start=1)]

    def _long_enough(self, steps: int) -> None:
        if steps <= self.settings.ahead:
            raise SettingsError(
                f"objective.ahead: {self.settings.ahead} is given, and sequences have {steps} step(s): cross-cpc needs "
                f"more than `ahead` of them, as it predicts what comes later. With single vectors, info-nce works."
            )


def _scores(predicted: list[Tensor], sequences: Tensor) -> list[Tensor]:
    later = sequences.transpose(0, 1)  # (N, B, D)
    return [products(p.transpose(0, 1), later[k:]) for k, p in enumerate(predicted, start=1)]


def _lost(predicted: list[Tensor], sequences: Tensor) -> Tensor:
    return torch.stack([missed(scores) for scores in _scores(predicted, sequences)]).mean()
