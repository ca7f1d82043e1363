"""A judge: reads from a picture's features what it shows, as it learned from real pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import loads

import torch
from torch import Tensor

from polymnia.data.samples import Samples
from polymnia.errors import DataError
from polymnia.evaluation.ridge import Ridge, ridge

SHOWS = "shows"
"""The column of samples that says what a picture shows: JSON, attribute → value."""
Shown = Mapping[str, str]


@dataclass(frozen=True)
class Judge:
    """One linear probe an attribute, in closed form.

    Parameters
    ----------
    probes : Mapping
        Attribute → its probe and the values that its classes stand for.
    """

    probes: Mapping[str, tuple[Ridge, Sequence[str]]]

    def read(self, features: Tensor) -> list[dict[str, str]]:
        """Return what each picture, of features (N, D), shows to the judge: attribute → value."""
        found = {name: [values[i] for i in probe.read(features)] for name, (probe, values) in self.probes.items()}
        return [{name: values[row] for name, values in found.items()} for row in range(len(features))]

    def agreement(self, features: Tensor, wanted: Sequence[Shown]) -> dict[str, float]:
        """Return attribute → the share of pictures that show what is wanted; "" → those where every attribute does.

        An attribute that is wanted of no picture has none; a value that the judge never saw is never right.
        """
        read = self.read(features)
        pairs = [(each, {name: value for name, value in want.items() if name in self.probes}) for each, want in
                 zip(read, wanted, strict=True)]  # fmt: skip
        shares = {"": [all(each[name] == value for name, value in want.items()) for each, want in pairs if want]}
        for name in self.probes:
            shares[name] = [each[name] == want[name] for each, want in pairs if name in want]
        return {name: sum(right) / len(right) for name, right in shares.items() if right}


def judge(features: Tensor, shown: Sequence[Shown]) -> Judge:
    """Return a judge that learned from features (N, D) of real pictures; attributes of one value only are left out.

    Examples
    --------
    >>> shown = [{"colour": "red"}, {"colour": "blue"}]
    >>> one = judge(torch.eye(2), shown)
    >>> one.read(torch.eye(2))[1], one.agreement(torch.eye(2)[[1, 1]], shown)
    ({'colour': 'blue'}, {'': 0.5, 'colour': 0.5})
    """
    probes: dict[str, tuple[Ridge, Sequence[str]]] = {}
    for name in sorted({name for each in shown for name in each}):
        values = sorted({each[name] for each in shown if name in each})
        targets = torch.tensor([values.index(each[name]) if name in each else -1 for each in shown])
        probe = ridge(features, targets)
        if probe is not None:
            probes[name] = probe, values
    return Judge(probes)


def shows(samples: Samples) -> list[dict[str, str]]:
    """Return what each sample's picture shows: its column `shows`; nothing where there is no such column.

    Raises
    ------
    DataError
        A cell is no JSON mapping.
    """
    if SHOWS not in samples.columns:
        return [{} for _ in range(len(samples))]
    return [_mapping(name, cell) for name, cell in zip(samples.ids, samples.columns[SHOWS].tolist(), strict=True)]


def _mapping(name: str, cell: str) -> dict[str, str]:
    try:
        found = loads(cell or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(
            f"shows of sample {str(name)!r} is {cell[:80]!r}; it must be a JSON mapping of attribute to value"
        )
    return {str(key): str(value) for key, value in found.items()}
