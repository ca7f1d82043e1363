"""Rows of batches in preallocated tensors; they grow in tokens, classes and modalities, never in rows."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from polymnia.data.batch import Batch
from polymnia.state import Tree


class Store:
    """Room for a fixed number of rows of any batches.

    A row keeps its values (T, d) with validity and presence, its target and its columns. What comes later may be
    longer, wider or have other modalities: then the room grows, and what older rows lack is missing there. In a
    column it is marked: NaN for numbers with a fraction, -1 for integers, False for truth values.

    Parameters
    ----------
    capacity : int
        Rows there is room for.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: Batch | None = None

    def write(self, batch: Batch, slots: Tensor) -> None:
        """Put the rows of a batch at the given slots (B,) int64, which must be distinct."""
        rows, batch = self._fitted(batch)
        rows.targets.index_copy_(0, slots, batch.targets)
        for name, values in rows.values.items():
            values.index_copy_(0, slots, batch.values[name].to(values.dtype))
            for mine, full in ((rows.valid.get(name), batch.mask), (rows.present.get(name), batch.has)):
                if mine is not None:
                    mine.index_copy_(0, slots, full(name))
        for name, column in rows.columns.items():
            column.index_copy_(0, slots, batch.columns[name].to(column.dtype))

    def take(self, slots: Tensor) -> Batch:
        """Return the rows at the given slots, in that order."""
        if self.rows is None:
            return Batch({}, torch.zeros(0, dtype=torch.int64))
        at = slots.to(self.rows.targets.device)
        return self.rows.map(lambda tensor: tensor.index_select(0, at))

    def state_dict(self, size: int) -> dict[str, Tree] | None:
        """Return the first `size` rows as a tree; None when nothing was written yet."""
        if self.rows is None:
            return None
        first = self.rows.take(slice(0, size))
        return {name: getattr(first, name) for name in ("values", "targets", "valid", "present", "columns")}

    def load_state_dict(self, state: dict[str, Tree] | None) -> None:
        """Put back what `state_dict` returned."""
        self.rows = None
        if state is not None:
            batch = Batch(**state)
            self.write(batch, torch.arange(len(batch), device=batch.targets.device))

    def _fitted(self, batch: Batch) -> tuple[Batch, Batch]:
        """Return all rows and the batch, both in one shape that has room for either."""
        rows = self.rows
        if rows is None:
            # contents do not matter until a row is written
            rows = batch.map(lambda tensor: tensor.new_empty((self.capacity, *tensor.shape[1:])))
        elif not _holds(rows, batch):
            rows, batch = _united(rows, batch), _united(batch, rows)
        self.rows = rows
        return rows, batch


def _holds(rows: Batch, batch: Batch) -> bool:
    """Say whether a batch can be written into rows as they are."""
    if rows.values.keys() != batch.values.keys() or rows.columns.keys() != batch.columns.keys():
        return False
    for name, values in batch.values.items():
        if values.shape[1:] != rows.values[name].shape[1:]:
            return False
        if (batch.valid.get(name) is not None and rows.valid.get(name) is None) or (
            batch.present.get(name) is not None and rows.present.get(name) is None
        ):
            return False
    return all(column.shape[1:] == rows.columns[name].shape[1:] for name, column in batch.columns.items())


def _united(batch: Batch, other: Batch) -> Batch:
    """Return a batch in a shape that has room for the other one too; what it lacks is missing or marked."""
    nothing = other.take(slice(0, 0))
    grown = replace(batch, columns={}).join(replace(nothing, columns={}))
    for name in sorted(batch.columns.keys() | other.columns.keys()):
        like = batch.columns.get(name, nothing.columns.get(name))
        assert like is not None
        column = batch.columns.get(name)
        if column is None:
            column = like.new_full((len(batch), *like.shape[1:]), _mark(like))
        if name in other.columns and column.ndim > 1 and other.columns[name].shape[1] > column.shape[1]:
            column = pad(column, (0, other.columns[name].shape[1] - column.shape[1]), value=_mark(column))
        grown.columns[name] = column
    return grown


def _mark(like: Tensor) -> float | int | bool:
    """Return what stands in a column of this type where there is nothing."""
    return float("nan") if like.dtype.is_floating_point else False if like.dtype == torch.bool else -1
