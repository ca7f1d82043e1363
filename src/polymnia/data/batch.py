"""A batch: values per modality with validity masks, and which modalities each sample has."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(slots=True)
class Batch:
    """Samples side by side.

    Parameters
    ----------
    values : dict
        Modality → (B, T, d) tokens, zero where invalid or missing.
    targets : Tensor
        (B,) class indices, -1 where there is none.
    valid : dict
        Modality → (B, T) bool, or None when every token is valid.
    present : dict
        Modality → (B,) bool, or None when every sample has it.
    columns : dict
        What else is carried along, row by row: kept logits, stage numbers; ids of texts (B, L), -1 behind the end.
    """

    values: dict[str, Tensor]
    targets: Tensor
    valid: dict[str, Tensor | None] = field(default_factory=dict)
    present: dict[str, Tensor | None] = field(default_factory=dict)
    columns: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.targets.shape[0]  # len(tensor) goes through Python: it is asked several times a step

    @property
    def modalities(self) -> list[str]:
        """The modalities, sorted, so that their order in a mapping cannot matter."""
        return sorted(self.values)

    def has(self, modality: str) -> Tensor:
        """Return (B,) bool: which samples have the modality."""
        if modality not in self.values:
            return torch.zeros(len(self), dtype=torch.bool, device=self.targets.device)
        mask = self.present.get(modality)
        return torch.ones_like(self.targets, dtype=torch.bool) if mask is None else mask

    def mask(self, modality: str) -> Tensor:
        """Return (B, T) bool: which tokens are real."""
        values, mask = self.values[modality], self.valid.get(modality)
        return torch.ones(values.shape[:2], dtype=torch.bool, device=values.device) if mask is None else mask

    def only(self, modalities: Iterable[str]) -> "Batch":
        """Return the batch as if only these modalities had been observed."""
        kept = set(modalities)
        return replace(
            self,
            values={m: v for m, v in self.values.items() if m in kept},
            valid={m: v for m, v in self.valid.items() if m in kept},
            present={m: v for m, v in self.present.items() if m in kept},
        )

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Return the batch with a function of (rows, ...) tensors applied to every tensor."""
        return Batch(
            {m: change(v) for m, v in self.values.items()},
            change(self.targets),
            {m: None if v is None else change(v) for m, v in self.valid.items()},
            {m: None if v is None else change(v) for m, v in self.present.items()},
            {c: change(v) for c, v in self.columns.items()},
        )

    def take(self, rows: Tensor | slice) -> "Batch":
        """Return the batch of the given rows (an index tensor, a bool mask or a slice)."""
        return self.map(lambda tensor: tensor[rows])

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def join(self, other: "Batch") -> "Batch":
        """Return this batch's rows and then the other's; what one side lacks is missing there, not zero."""
        names = sorted(self.values.keys() | other.values.keys())
        joined = Batch({}, torch.cat([self.targets, other.targets]))
        for name in names:
            whole = all(side.valid.get(name) is None and name in side.values for side in (self, other))
            if whole and self._length(name) == other._length(name):
                joined.values[name], joined.valid[name] = torch.cat([self.values[name], other.values[name]]), None
            else:
                sides = [side._padded(name, self, other) for side in (self, other)]
                joined.values[name] = torch.cat([values for values, _ in sides])
                joined.valid[name] = torch.cat([mask for _, mask in sides])
            everywhere = all(name in side.values and side.present.get(name) is None for side in (self, other))
            joined.present[name] = None if everywhere else torch.cat([self.has(name), other.has(name)])
        joined.columns = {
            c: end_to_end([self.columns[c], other.columns[c]])
            for c in sorted(self.columns.keys() & other.columns.keys())
        }
        return joined

    def _length(self, name: str) -> int:
        return self.values[name].shape[1] if name in self.values else 0

    def _padded(self, name: str, *sides: "Batch") -> tuple[Tensor, Tensor]:
        """Return this side's values and validity, padded to the longer of the two sides."""
        length = max(side._length(name) for side in sides)
        if name not in self.values:
            like = next(side.values[name] for side in sides if name in side.values)
            empty = like.new_zeros((len(self), length, *like.shape[2:]))
            return empty, torch.zeros(len(self), length, dtype=torch.bool, device=like.device)
        values, missing = self.values[name], length - self._length(name)
        if not missing:
            return values, self.mask(name)
        return pad(values, (0, 0, 0, missing)), pad(self.mask(name), (0, missing))


def end_to_end(parts: Sequence[Tensor]) -> Tensor:
    """Return the rows of all parts, one after another; rows of ids (B, L) are brought to one length with -1.

    Examples
    --------
    >>> end_to_end([torch.tensor([[5, 6]]), torch.tensor([[7]])]).tolist()
    [[5, 6], [7, -1]]
    """
    longest = max(part.shape[1] if part.ndim == 2 else 0 for part in parts)
    return torch.cat([_lengthened(part, longest) for part in parts])


def _lengthened(part: Tensor, length: int) -> Tensor:
    if part.ndim != 2 or part.is_floating_point() or part.shape[1] == length:
        return part
    return pad(part, (0, length - part.shape[1]), value=-1)
