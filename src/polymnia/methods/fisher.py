"""The diagonal of the Fisher information, per sample and exact."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import log_softmax

from polymnia.data.batch import Batch
from polymnia.errors import SettingsError
from polymnia.methods.closed_form import Calls, squares, uses
from polymnia.models.base import Model, Output

Labels = Literal["given", "drawn"]

VMAP_ENTRIES = 2**24
"""Entries of per-sample gradients that vmap may hold at once: 64 MiB."""


def fisher_diagonal(
    model: Model, batches: Iterable[Batch], *, labels: Labels = "given", generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Return the mean over samples of (∂ log p(y | x) / ∂θ)², for every trainable parameter, in evaluation mode.

    Each sample's gradient is squared before the mean is taken: squaring a batch's mean gradient instead gives a
    value smaller by about the batch's size, and no strength carries over from one to the other.
    p is the softmax over all classes so far; the family's own `losses` are no part of it.

    Where a weight serves one `linear` or `layer_norm` with one vector a sample, nothing per sample is ever held:
    for a linear map with input x and gradient δ at its output the sum of squares is (δ²)ᵀ(x²). Other parameters go
    through vmap, and samples of a family whose rows are not samples (a text has many) one by one. All ways are exact.

    Parameters
    ----------
    model : Model
        Its rows must not influence each other (in evaluation mode none of ours do).
    batches : iterable of Batch
        What to average over.
    labels : {"given", "drawn"}
        y is the sample's label ("given": the empirical Fisher; samples without a label do not count), or is drawn
        from the model's own p(y | x) ("drawn": an unbiased estimate of the Fisher itself).
    generator : torch.Generator, optional
        Draws the labels.

    Returns
    -------
    dict
        Parameter name → its diagonal; zeros where there was no sample.

    Raises
    ------
    SettingsError
        Labels are to be drawn for a family whose rows are not samples.

    Source: Kirkpatrick et al. 2017, eq. 3; Martens 2014 for given against drawn labels.
    """
    one_row = "one row a sample" in model.provides
    if labels == "drawn" and not one_row:
        raise SettingsError(f"labels can be drawn only where a sample has one row; {model.name!r} needs labels='given'")
    parameters = model.trainable()
    total = {name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()}
    count, was_training = 0, model.training
    model.eval()
    try:
        for batch in batches:
            known = batch.targets >= 0
            whole = not one_row or labels == "drawn" or bool(known.all())
            part = batch if whole else batch.take(known)
            if len(part) and parameters:
                _add(model, parameters, part, total, generator if labels == "drawn" else None, one_row=one_row)
                count += len(part)
    finally:
        model.train(was_training)
    return {name: value / max(count, 1) for name, value in total.items()}


def log_likelihood(output: Output) -> Tensor:
    """Return Σ over the rows that count of log p(target), a scalar."""
    chosen = log_softmax(output.logits, 1).gather(1, output.targets.clamp(min=0)[:, None])[:, 0]
    return torch.where(output.targets >= 0, chosen, 0.0).sum()


def _add(
    model: Model,
    parameters: Mapping[str, nn.Parameter],
    batch: Batch,
    total: dict[str, Tensor],
    generator: torch.Generator | None,
    *,
    one_row: bool,
) -> None:
    """Add the batch's sum of squared gradients to `total`."""
    rest = set(parameters)
    if one_row:
        with torch.enable_grad(), Calls() as recorded:
            output = model.forward(batch)  # not model(batch): its hooks would share the rows over processes
            if generator is not None:
                drawn = torch.multinomial(output.logits.detach().softmax(1).cpu(), 1, generator=generator)[:, 0]
                batch = replace(batch, targets=drawn.to(batch.targets.device))
            value = log_likelihood(replace(output, targets=batch.targets))
        used, names = uses(value), {id(p): name for name, p in parameters.items()}
        for key, square in squares(recorded.calls, value, used, len(batch)).items():
            if key in names:
                total[names[key]] += square
                rest.discard(names[key])
        rest -= {name for name in rest if not used[id(parameters[name])]}  # no use, no gradient
    if rest and one_row:
        _add_by_vmap(model, {name: parameters[name].detach() for name in sorted(rest)}, batch, total)
    elif rest:
        _add_one_by_one(model, {name: parameters[name] for name in sorted(rest)}, batch, total)


def _add_one_by_one(
    model: Model, parameters: Mapping[str, nn.Parameter], batch: Batch, total: dict[str, Tensor]
) -> None:
    """Add the squares of gradients, sample by sample: for families that do not run under vmap."""
    for row in range(len(batch)):
        with torch.enable_grad():
            value = log_likelihood(model.forward(batch.take(slice(row, row + 1))))
            gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                total[name] += gradient.square()


def _add_by_vmap(model: Model, parameters: Mapping[str, Tensor], batch: Batch, total: dict[str, Tensor]) -> None:
    """Add the squares of gradients that are computed for each sample."""
    rows = {
        "values": dict(batch.values),
        "targets": batch.targets,
        "valid": {m: v for m, v in batch.valid.items() if v is not None},
        "present": {m: v for m, v in batch.present.items() if v is not None},
        "columns": dict(batch.columns),
    }

    def one(held: dict[str, Tensor], row: dict[str, Any]) -> Tensor:
        alone = Batch(**{part: _unsqueezed(value) for part, value in row.items()})
        return log_likelihood(functional_call(model, held, (alone,)))

    entries = sum(p.numel() for p in parameters.values())
    chunk = max(1, VMAP_ENTRIES // max(entries, 1))
    for at in torch.arange(len(batch)).split(chunk):
        part = _sliced(rows, slice(int(at[0]), int(at[-1]) + 1))
        with torch.no_grad():  # or the other parameters would keep a graph behind the gradients
            gradients = vmap(grad(one), in_dims=(None, 0))(dict(parameters), part)
        for name, gradient in gradients.items():
            total[name] += gradient.square().sum(0)


def _unsqueezed(part: Any) -> Any:
    return {m: v[None] for m, v in part.items()} if isinstance(part, dict) else part[None]


def _sliced(part: Any, rows: slice) -> Any:
    return {key: _sliced(value, rows) for key, value in part.items()} if isinstance(part, dict) else part[rows]
