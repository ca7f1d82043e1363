"""Read the `model.bin` of CTranslate2: named tensors in one binary file, checked to the last byte."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from polymnia.errors import DataError

VERSION = 6
"""Of the binary format."""

TYPES = {
    0: (np.float32, None), 1: (np.int8, None), 2: (np.int16, None), 3: (np.int32, None), 4: (np.float16, None),
    5: (np.int16, torch.bfloat16),
}  # fmt: skip
"""Number of a type in the file → how its bytes are read, and what they then stand for, if something else."""


@dataclass(frozen=True)
class Ct2Model:
    """What is in a `model.bin`."""

    spec: str
    """Which architecture, such as "WhisperSpec"."""
    revision: int
    """Of the architecture's names."""
    variables: dict[str, Tensor]
    """Name → tensor; scalars have no dimension."""
    aliases: dict[str, str]
    """Name → the variable that it stands for."""

    def __getitem__(self, name: str) -> Tensor:
        """Return a variable by its name or alias.

        Raises
        ------
        DataError
            There is none of that name.
        """
        found = self.variables.get(self.aliases.get(name, name))
        if found is None:
            raise DataError(f"the {self.spec} has no variable {name!r}, among {len(self.variables)}")
        return found


def read_ctranslate2(content: bytes, *, name: str) -> Ct2Model:
    """Return the tensors of a `model.bin`.

    All numbers are little-endian: version (u32); the specification's name, its revision (u32); the number of
    variables (u32), and for each its name, rank (u8), dimensions (u32 each), type (u8), size in bytes (u32)
    and values; the number of aliases (u32), and for each the alias and the name it stands for. A text is
    its length (u16) and its bytes, the last of which is 0.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str
        What errors call it.

    Raises
    ------
    DataError
        It is not such a file, or damaged, or of another version.

    Source: the converter of CTranslate2 4 (`ModelSpec.save`), read from such a file.
    """
    reader = _Reader(content, name)
    version = reader.number(4, "the version")
    if version != VERSION:
        raise reader.wrong(f"is of format {version}, and {VERSION} is read (or it is no CTranslate2 model)", at=0)
    spec, revision = reader.text("the specification's name"), reader.number(4, "the revision")
    variables: dict[str, Tensor] = {}
    for _ in range(reader.number(4, "the number of variables")):
        key = reader.text("a variable's name")
        if key in variables:
            raise reader.wrong(f"names {key!r} twice")
        variables[key] = reader.tensor(key)
    aliases: dict[str, str] = {}
    for _ in range(reader.number(4, "the number of aliases")):
        alias, target = reader.text("an alias"), reader.text("an alias's target")
        if target not in variables or alias in variables:
            raise reader.wrong(f"lets {alias!r} stand for {target!r}, which cannot be")
        aliases[alias] = target
    if reader.at != len(content):
        raise reader.wrong(f"has {len(content) - reader.at:,} bytes behind its end")
    return Ct2Model(spec, revision, variables, aliases)


class _Reader:
    """Reads on from place to place, and says where a file ends too early."""

    def __init__(self, content: bytes, name: str) -> None:
        self.content, self.name, self.at = memoryview(content), name, 0

    def wrong(self, what: str, *, at: int | None = None) -> DataError:
        return DataError(f"{self.name} {what} (byte {self.at if at is None else at:,} of {len(self.content):,})")

    def take(self, count: int, what: str) -> memoryview:
        if count > len(self.content) - self.at:
            raise self.wrong(f"ends within {what}: {count:,} bytes are needed")
        self.at += count
        return self.content[self.at - count : self.at]

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "little")

    def text(self, what: str) -> str:
        held = bytes(self.take(self.number(2, what), what))
        if not held.endswith(b"\0") or not held[:-1].isascii() or b"\0" in held[:-1]:
            raise self.wrong(f"has {held[:40]!r} for {what}, which is no text with a closing zero")
        return held[:-1].decode("ascii")

    def tensor(self, key: str) -> Tensor:
        shape = tuple(self.number(4, f"the shape of {key!r}") for _ in range(self.number(1, f"the rank of {key!r}")))
        kind = self.number(1, f"the type of {key!r}")
        if kind not in TYPES:
            raise self.wrong(f"has type {kind} for {key!r}, and {', '.join(map(str, TYPES))} are known")
        read, meant = TYPES[kind]
        size, needed = self.number(4, f"the size of {key!r}"), math.prod(shape) * np.dtype(read).itemsize
        if size != needed:
            raise self.wrong(f"has {size:,} bytes for {key!r} of shape {shape}, which takes {needed:,}")
        values = np.frombuffer(self.take(size, repr(key)), dtype=np.dtype(read).newbyteorder("<"))
        tensor = torch.from_numpy(values.astype(read)).view(shape)  # a copy: the file need not stay in memory
        return tensor if meant is None else tensor.view(meant)
