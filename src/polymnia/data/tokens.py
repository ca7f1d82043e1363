"""A column of encoded values: tokens of every sample end to end, so that ragged lengths cost no padding."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens of N samples, end to end.

    Parameters
    ----------
    flat : Tensor
        (total, d), in memory or memory-mapped, float16 or float32.
    start, length : Tensor
        (N,) int64: sample i holds rows ``start[i] : start[i] + length[i]``. A missing value has length 0.
    """

    flat: Tensor
    start: Tensor
    length: Tensor

    @classmethod
    def dense(cls, values: Tensor) -> "Tokens":
        """Make a column from (N, T, d), every sample with T tokens."""
        n, t, d = values.shape
        return cls(values.reshape(n * t, d), torch.arange(n) * t, torch.full((n,), t))

    def __len__(self) -> int:
        return len(self.start)

    @property
    def width(self) -> int:
        """The width d of one token."""
        return self.flat.shape[1]

    def subset(self, rows: Tensor) -> "Tokens":
        """Return the column of the given rows; the tokens themselves are shared, not copied."""
        return Tokens(self.flat, self.start[rows], self.length[rows])

    def compact(self) -> "Tokens":
        """Return the column over its own tokens alone, in memory: what is kept need not keep what it was taken from."""
        ends = self.length.cumsum(0)
        begins = ends - self.length
        at = torch.repeat_interleave(self.start - begins, self.length) + torch.arange(int(self.length.sum()))
        return Tokens(self.flat[at].clone(), begins, self.length.clone())

    @cached_property
    def _uniform(self) -> int:
        """The one length that all samples have, or 0."""
        lengths = self.length.unique()
        return int(lengths) if len(lengths) == 1 else 0

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return values (B, T, d) in float32 and their validity (B, T), None when every token is valid."""
        start = self.start.index_select(0, rows)
        if self._uniform == 1:
            return self.flat.index_select(0, start).float().unsqueeze(1), None
        length = self.length[rows]
        steps = torch.arange(max(int(length.max()), 1) if len(length) else 1)
        valid = steps < length[:, None]
        at = torch.where(valid, start[:, None] + steps, 0)
        if not len(self.flat):
            return torch.zeros(*at.shape, self.width), valid
        values = self.flat[at].float()
        if bool(valid.all()):
            return values, None
        return values.masked_fill_(~valid[..., None], 0.0), valid

    def pooled(self, how: str) -> "Tokens":
        """Return a column with one token a sample: the mean, or the mean and the maximum side by side."""
        if how not in ("mean", "mean+max"):
            raise ValueError(f"pooling is {how!r}; accepted: mean, mean+max")
        if how == "mean" and self._uniform == 1:
            return self
        chunks = [self._pool(rows, how) for rows in torch.arange(len(self)).split(256)]
        width = self.width * (2 if how == "mean+max" else 1)
        return Tokens.dense(torch.cat(chunks).unsqueeze(1) if chunks else torch.zeros(0, 1, width))

    def _pool(self, rows: Tensor, how: str) -> Tensor:
        values, valid = self.gather(rows)
        if valid is None:
            mean, highest = values.mean(1), values.amax(1)
        else:
            mean = values.sum(1) / valid.sum(1, keepdim=True).clamp(min=1)
            highest = values.masked_fill(~valid[..., None], float("-inf")).amax(1)
            highest = torch.where(valid.any(1, keepdim=True), highest, 0.0)
        return mean if how == "mean" else torch.cat([mean, highest], 1)

    @classmethod
    def concat(cls, parts: list["Tokens"]) -> "Tokens":
        """Return the columns one after another; columns over the same tokens share them."""
        if all(part.flat is parts[0].flat for part in parts):
            return cls(parts[0].flat, torch.cat([p.start for p in parts]), torch.cat([p.length for p in parts]))
        offsets = torch.tensor([0, *[len(part.flat) for part in parts[:-1]]]).cumsum(0)
        start = torch.cat([part.start + offset for part, offset in zip(parts, offsets, strict=True)])
        return cls(torch.cat([part.flat for part in parts]), start, torch.cat([part.length for part in parts]))
