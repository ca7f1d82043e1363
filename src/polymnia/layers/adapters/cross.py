"""How modalities meet in the bottleneck of an expert."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.layers.projectors import masked_mean


class Inside(NamedTuple):
    """Tokens (P, T, r) in the bottleneck, which are valid (P, T), and which samples have them (P,); None: all."""

    tokens: Tensor
    valid: Tensor | None = None
    present: Tensor | None = None


Map = Callable[[Tensor], Tensor]
Cross = Callable[[str, Mapping[str, Inside], Map], Tensor]
"""Modality, all modalities' tokens, each place's own map (P, r) → (P, r), which only the gate uses; → (P, T, r)."""


def attention_map(queries: Tensor, keys: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return (P, T, S), ``softmax(Q Kᵀ / √r)`` over the valid keys, from queries (P, T, r) and keys (P, S, r).

    Source: specification §2.2, A_{m←n}; the form is inferred there.

    Examples
    --------
    >>> attention_map(torch.zeros(1, 2, 4), torch.ones(1, 4, 4))[0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    scores = queries @ keys.transpose(1, 2) / queries.shape[-1] ** 0.5
    if valid is not None:  # the least finite number, so that a row without any valid key stays finite
        scores = scores.masked_fill(~valid[:, None], torch.finfo(scores.dtype).min)
    return scores.softmax(-1)


def by_attention(modality: str, inside: Mapping[str, Inside], across: Map) -> Tensor:
    """Return ``Z_m + mean over n of A_{m←n} Z_n``, over the others that are there."""
    tokens = inside[modality].tokens
    others = {n: other for n, other in inside.items() if n != modality}
    if not others:
        return tokens
    terms = [(attention_map(tokens, o.tokens, o.valid) @ o.tokens, o.present) for o in others.values()]
    return tokens + _mean_of_present(terms)[0]


def by_gate(modality: str, inside: Mapping[str, Inside], across: Map) -> Tensor:
    """Return ``Z_m ⊙ sigmoid(f(mean over n of mean Z_n))``; Z_m itself where there is no other modality."""
    tokens = inside[modality].tokens
    others = {n: other for n, other in inside.items() if n != modality}
    if not others:
        return tokens
    mean, some = _mean_of_present([(masked_mean(o.tokens, o.valid), o.present) for o in others.values()])
    opened = across(mean).sigmoid()[:, None]
    return tokens * (opened if some is None else torch.where(some[:, None, None], opened, 1.0))


def apart(modality: str, inside: Mapping[str, Inside], across: Map) -> Tensor:
    """Return Z_m: modalities do not meet."""
    return inside[modality].tokens


def cleaned(values: Tensor, batch: Batch, modality: str) -> Tensor:
    """Return (B, T, d), zero at invalid tokens and where the modality is missing, whatever stood there."""
    valid, present = batch.valid.get(modality), batch.present.get(modality)
    if valid is not None:
        values = torch.where(valid[..., None], values, 0.0)
    return values if present is None else torch.where(present[:, None, None], values, 0.0)


def _mean_of_present(terms: list[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    """Return the mean of terms (P, …) over those that are there, 0 where none is; and where some are, None: all."""
    if any(present is None for _, present in terms) and len(terms) == 1:
        return terms[0][0], None
    if all(present is None for _, present in terms):
        return torch.stack([term for term, _ in terms]).mean(0), None
    total, count = torch.zeros_like(terms[0][0]), torch.zeros(len(terms[0][0]), device=terms[0][0].device)
    for term, present in terms:
        there = torch.ones_like(count, dtype=torch.bool) if present is None else present
        total = total + torch.where(there.view(-1, *[1] * (term.dim() - 1)), term, 0.0)
        count = count + there
    return total / count.clamp(min=1).view(-1, *[1] * (total.dim() - 1)), count > 0


CROSS: dict[str, Cross] = {"attention": by_attention, "gate": by_gate, "none": apart}
