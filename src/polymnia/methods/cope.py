"""`cope`: prototypes on the unit sphere that evolve with the stream, and classes are the nearest of them."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize, pad

from polymnia.data.batch import Batch
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.rehearsal import Rehearsal
from polymnia.models.base import Output

AWAY = -1e4
"""A logit that no similarity comes near: a class without a prototype."""


@register("cope")
class CoPE(Rehearsal):
    """Continual prototype evolution.

    Each batch, joined with a draw from a class-balanced memory, pulls features towards their class's prototype and
    towards each other, and away from other classes (see `ppp`); then each prototype moves towards the mean of its
    class in the batch, ``p ← momentum · p + (1 − momentum) · mean``, at length 1. The model's head is not used.

    A new class's prototype starts as the mean of its first batch, where the authors' code draws a direction at
    random: with momentum 0.99 a start far away takes hundreds of steps to mend.

    Source: De Lange and Tuytelaars 2021, section 4 (prototypes, PPP-loss, balanced replay).
    """

    needs = frozenset({"representations", "one row a sample"})
    state = ("memory", "prototypes")
    policy = "class-balanced"
    off: ClassVar[Off] = "its loss is over prototypes, with or without a memory"
    prototypes: Tensor | None = None
    """(K, D) at length 1; zeros for a class that was not met."""

    @dataclass(frozen=True, kw_only=True)
    class Settings(Rehearsal.Settings):
        """How slowly prototypes move, and how sharp similarity is."""

        momentum: float = 0.99
        temperature: float = 0.1

    settings: Settings

    def loss(self, batch: Batch) -> Terms:
        """Return the pseudo-prototypical proxy loss, and let the prototypes move."""
        replayed = self.drawn(batch)
        self.remember(batch)
        output = self.model(batch.join(replayed) if len(replayed) else batch)
        features, targets = normalize(output.representations["joint"].float(), dim=1), output.targets
        if bool((targets < 0).any()):
            features, targets = features[targets >= 0], targets[targets >= 0]
        if not len(targets):
            return dict(output.losses)
        means = self.class_means(features.detach(), targets, classes=output.logits.shape[1])
        met = means.any(1, keepdim=True)
        before = self.grown(means)
        prototypes = torch.where(before.any(1, keepdim=True), before, normalize(means, dim=1))
        lost = ppp(features, targets, prototypes, temperature=self.settings.temperature)
        moved = normalize(torch.lerp(means, prototypes, self.settings.momentum), dim=1)
        self.prototypes = torch.where(met, moved, prototypes)
        return {"task": lost, **output.losses}

    @staticmethod
    def class_means(features: Tensor, targets: Tensor, *, classes: int) -> Tensor:
        """Return (K, D): the mean of features (B, D) of each class, zeros for a class that is not there."""
        sums = features.new_zeros(classes, features.shape[1]).index_add_(0, targets, features)
        return sums / targets.bincount(minlength=classes).clamp(min=1)[:, None]

    def grown(self, like: Tensor) -> Tensor:
        """Return the prototypes with rows for as many classes as `like` (K, D) has."""
        if self.prototypes is None:
            return torch.zeros_like(like)
        return pad(self.prototypes, (0, 0, 0, len(like) - len(self.prototypes)))

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Output:
        """Return the similarity to each prototype over the temperature."""
        output = self.model.predict(batch)
        if self.prototypes is not None:
            prototypes = self.grown(output.logits.new_zeros(output.logits.shape[1], self.prototypes.shape[1]))
            features = normalize(output.representations["joint"].float(), dim=1)
            output.logits = similarities(features, prototypes, self.settings.temperature)
        return output


def similarities(features: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """Return (B, K): inner products over the temperature, and `AWAY` for a prototype that is not there."""
    return (features @ prototypes.T / temperature).masked_fill(~prototypes.any(1), AWAY)


def ppp(features: Tensor, targets: Tensor, prototypes: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Return the pseudo-prototypical proxy loss of a batch.

    Every sample also stands in for the prototype of its class c: for others of c as an attractor, beside the
    prototype itself, and for samples of other classes as a repellor. With
    ``P(c | f, p) = exp(f·p / T) / (exp(f·p / T) + Σ over k ≠ c of exp(f·p_k / T))`` and E the mean over stand-ins p,
    the loss is ``−1/B · [Σ_i log E P(c | f_i, p) + Σ_i Σ_j log (1 − E P(c | f_j, p))]``: in the first sum p is p_c or
    another sample of c, in the second, over all j of other classes, p_c or f_i. Stand-ins get no gradient.

    Parameters
    ----------
    features : Tensor
        (B, D) at length 1.
    targets : Tensor
        (B,) classes.
    prototypes : Tensor
        (K, D) at length 1, zeros where there is none.

    Source: De Lange and Tuytelaars 2021, section 4, PPP-loss.
    """
    alike = targets[:, None] == targets  # (B, B)
    to_prototypes = similarities(features, prototypes, temperature)  # (B, K)
    to_samples = features @ features.detach().T / temperature  # (B, B), row: the sample; column: the stand-in
    classes, at = targets.unique(return_inverse=True)
    own = torch.zeros(len(classes), len(prototypes), dtype=torch.bool, device=targets.device)
    own[torch.arange(len(classes), device=targets.device), classes] = True
    rest = to_prototypes[:, None].masked_fill(own, AWAY).logsumexp(2)[:, at]  # (B, B): over k ≠ the stand-in's class
    prototype_odds, sample_odds = to_prototypes[:, targets] - rest, to_samples - rest  # log odds of P
    others = alike & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    attracted = prototype_odds.diagonal().sigmoid() + (sample_odds.sigmoid() * others).sum(1)
    kept_off = torch.logaddexp(logsigmoid(-prototype_odds), logsigmoid(-sample_odds)) - math.log(2)
    pulls = (attracted / alike.sum(1)).log().sum()
    return -(pulls + kept_off.masked_fill(alike, 0.0).sum()) / len(targets)
