"""Samples in columns: what was observed together, for many observations at once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polymnia.data.batch import Batch, end_to_end
from polymnia.data.modality import Array, Raw
from polymnia.data.tokens import Tokens
from polymnia.errors import DataError

Column = Array | Tokens
"""The values of one modality: raw ones in an array (N,) of objects or (N, ...) of numbers, or encoded tokens."""


@dataclass(frozen=True)
class Sample:
    """What was observed together: a value for some or all modalities, and a target.

    Parameters
    ----------
    id : str
        Names the sample in messages and in `rejected.jsonl`.
    values : Mapping
        Modality → file, text or array; a missing modality is not in it.
    target : int
        Class index, -1 where there is none.
    columns : Mapping
        Everything else known of it: label, group, domain, split, stage.
    """

    id: str
    values: Mapping[str, Raw | Tensor]
    target: int = -1
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Samples:
    """N samples in columns; row i of every column belongs to sample i.

    Parameters
    ----------
    ids : NDArray
        (N,) unique names.
    values : Mapping
        Modality → column of N values.
    present : Mapping
        Modality → (N,) bool: whether the sample has it.
    targets : Tensor
        (N,) int64 class indices, -1 where there is none.
    columns : Mapping
        Name → (N,) of strings: label, group, domain, split, stage; of language tasks: task, prompt, answer, references.
    sequences : Mapping
        Name → (N, L) int64, -1 behind the end: ids of texts, for families that read or write them.
    """

    ids: NDArray[np.str_]
    values: Mapping[str, Column]
    present: Mapping[str, Tensor]
    targets: Tensor
    columns: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    sequences: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.ids)
        masks = {f"present {m}": v for m, v in self.present.items()}
        parts = {**self.values, **masks, **self.columns, **{f"ids of {name}": v for name, v in self.sequences.items()}}
        wrong = {name: len(part) for name, part in parts.items() if len(part) != n} | (
            {} if len(self.targets) == n else {"targets": len(self.targets)}
        )
        if wrong:
            raise DataError(f"every column must have {n} rows, one a sample; these have not: {wrong}")

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Samples":
        """Put single samples into columns."""
        twice = sorted(name for name, count in Counter(s.id for s in samples).items() if count > 1)
        if twice:
            raise DataError(f"duplicate sample ids: {', '.join(twice[:5])} ({len(twice)} in all); ids must be unique")
        names = sorted({m for s in samples for m in s.values})
        values: dict[str, Column] = {}
        for name in names:
            column = np.empty(len(samples), dtype=object)
            for row, sample in enumerate(samples):
                column[row] = sample.values.get(name)
            values[name] = column
        return cls(
            np.array([s.id for s in samples], dtype=np.str_),
            values,
            {m: torch.tensor([m in s.values for s in samples], dtype=torch.bool) for m in names},
            torch.tensor([s.target for s in samples], dtype=torch.int64),
            {
                c: np.array([s.columns.get(c, "") for s in samples], dtype=np.str_)
                for c in sorted({c for s in samples for c in s.columns})
            },
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that at least one sample has, sorted."""
        return tuple(m for m in sorted(self.values) if bool(self.present[m].any()))

    def __getitem__(self, row: int) -> Sample:
        values: dict[str, Raw | Tensor] = {}
        for m, column in self.values.items():
            if self.present[m][row]:
                values[m] = column.gather(torch.tensor([row]))[0][0] if isinstance(column, Tokens) else column[row]
        columns = {c: str(v[row]) for c, v in self.columns.items()}
        return Sample(str(self.ids[row]), values, int(self.targets[row]), columns)

    def subset(self, rows: Tensor | NDArray[np.int64]) -> "Samples":
        """Return the samples of the given row numbers, in that order."""
        at = torch.as_tensor(rows, dtype=torch.int64)
        numbers = at.numpy()
        return Samples(
            self.ids[numbers],
            {m: v.subset(at) if isinstance(v, Tokens) else v[numbers] for m, v in self.values.items()},
            {m: v[at] for m, v in self.present.items()},
            self.targets[at],
            {c: v[numbers] for c, v in self.columns.items()},
            {name: v[at] for name, v in self.sequences.items()},
        )

    def borrowing(self, rows: Mapping[str, NDArray[np.int64]]) -> "Samples":
        """Return the samples with the values of some modalities taken from other rows: modality → (N,) row numbers."""
        if not rows:
            return self
        at = {m: torch.as_tensor(numbers, dtype=torch.int64) for m, numbers in rows.items()}
        values: dict[str, Column] = dict(self.values)
        for m, numbers in at.items():
            column = self.values[m]
            values[m] = column.subset(numbers) if isinstance(column, Tokens) else column[numbers.numpy()]
        present = {**self.present, **{m: self.present[m][numbers] for m, numbers in at.items()}}
        return replace(self, values=values, present=present)

    def only(self, modalities: Sequence[str]) -> "Samples":
        """Return the samples that have at least one of these modalities, and nothing of the others."""
        kept = [m for m in modalities if m in self.values]
        has = torch.zeros(len(self), dtype=torch.bool)
        for m in kept:
            has |= self.present[m]
        rest = replace(self, values={m: self.values[m] for m in kept}, present={m: self.present[m] for m in kept})
        return rest if bool(has.all()) else rest.subset(has.nonzero().flatten())

    @classmethod
    def concat(cls, parts: Sequence["Samples"]) -> "Samples":
        """Return the samples of all parts, one after another; the parts must have the same modalities."""
        if len(parts) == 1:
            return parts[0]
        names = parts[0].values.keys()
        if any(part.values.keys() != names for part in parts):
            raise DataError(f"parts have different modalities: {[sorted(part.values) for part in parts]}")
        values: dict[str, Column] = {}
        for m in names:
            columns = [part.values[m] for part in parts]
            encoded = [column for column in columns if isinstance(column, Tokens)]
            values[m] = Tokens.concat(encoded) if encoded else np.concatenate([np.asarray(c) for c in columns])
        shared = set.intersection(*(set(part.columns) for part in parts))
        texts = set.intersection(*(set(part.sequences) for part in parts))
        return cls(
            np.concatenate([part.ids for part in parts]),
            values,
            {m: torch.cat([part.present[m] for part in parts]) for m in names},
            torch.cat([part.targets for part in parts]),
            {c: np.concatenate([part.columns[c] for part in parts]) for c in sorted(shared)},
            {name: end_to_end([part.sequences[name] for part in parts]) for name in sorted(texts)},
        )

    @cached_property
    def _masks(self) -> dict[str, Tensor | None]:
        return {m: None if bool(v.all()) else v for m, v in self.present.items()}

    def batch(self, rows: Tensor) -> Batch:
        """Return the encoded samples of the given rows as a batch."""
        values, valid, present = {}, {}, {}
        for m, column in self.values.items():
            if not isinstance(column, Tokens):
                raise DataError(f"modality {m!r} is not encoded yet; give it an encoder before batching")
            values[m], valid[m] = column.gather(rows)
            mask = self._masks[m]
            present[m] = None if mask is None else mask[rows]
        columns = {name: shortened(ids.index_select(0, rows)) for name, ids in self.sequences.items()}
        return Batch(values, self.targets.index_select(0, rows), valid, present, columns)


def shortened(ids: Tensor) -> Tensor:
    """Return ids (B, L) without the columns that are behind the end of every row.

    Examples
    --------
    >>> shortened(torch.tensor([[5, -1, -1], [6, 7, -1]])).tolist()
    [[5, -1], [6, 7]]
    """
    return ids[:, : int((ids >= 0).sum(1).max()) if len(ids) else 0]
