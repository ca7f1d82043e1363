"""`transformed`: a source whose pictures are turned, mirrored or inverted: the same task in another domain."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polymnia.config import part
from polymnia.data.modality import MODALITIES, Array
from polymnia.data.source import SOURCES, Dataset, Source, register
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError, SettingsError, unknown

HOW: Mapping[str, Callable[[Array], Array]] = {
    "bgr": lambda picture: picture[:, :, ::-1],
    "flip": lambda picture: picture[::-1],
    "invert": lambda picture: 255 - picture,
    "mirror": lambda picture: picture[:, ::-1],
    "rotate": lambda picture: np.rot90(picture),
    "upside-down": lambda picture: picture[::-1, ::-1],
}
"""Name → what becomes of a picture (h, w, 3): colours swapped, flipped top to bottom, negative, mirrored left to right,
turned a quarter to the left, turned by half."""


@register("transformed")
class Transformed(Source):
    """Another source with its pictures transformed, one change after another; all else of it stays.

    Groups and splits are the source's own, so that a picture and its transformed twin are on one side; the column
    `transform` says what was done. Pictures are read at once and held in memory; those that cannot be read are set
    aside.

    Source: the test bed of the MoDE specification transforms the pictures of each stage in a way of its own.

    Examples
    --------
    >>> digits = {"name": "digit-questions", "of": "digits", "kinds": ["parity"], "per_class": 1}
    >>> Transformed(Transformed.Settings(of=digits, how=("rotate",))).load().samples[0].values["image"].shape
    (8, 8, 3)
    """

    card = Card(
        title="A data set with its pictures transformed",
        licence="that of the data set",
        citation="that of the data set",
        get="name it: of: {name: easy-vqa}, how: [rotate]",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which source, and what is done to its pictures."""

        of: Mapping[str, Any] = field(default_factory=dict)
        """The source's `name` and its settings."""
        how: tuple[str, ...] = ("rotate",)
        """One after another: bgr, flip, invert, mirror, rotate, upside-down."""
        see: str = "image"
        """The modality of pictures."""

        def __post_init__(self) -> None:
            strange = [name for name in self.how if name not in HOW]
            if strange or not self.how:
                raise SettingsError(f"stream.how: {unknown('transform', (strange or [''])[0], HOW)}")

    settings: Settings

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        if not self.settings.of:
            raise SettingsError(f"stream.of is empty; {self.card.get}")
        kind, own = part(SOURCES, self.settings.of, "stream.of")
        self.source: Source = kind(own)
        vars(self).update(card=self.source.card, name=self.source.name)  # whose name parts groups: they are the same

    @classmethod
    def available(cls) -> bool:
        """Return False: without a source there is nothing."""
        return False

    def load(self) -> Dataset:
        """Return the source's samples with other pictures.

        Raises
        ------
        SettingsError
            The source has no such modality, or it is none of pictures.
        """
        dataset, see = self.source.load(), self.settings.see
        if see not in dataset.kinds:
            raise SettingsError(f"stream.see: {unknown('modality', see, dataset.kinds)}")
        if dataset.kinds[see] != "image":
            raise SettingsError(f"stream.see: {see!r} is {dataset.kinds[see]}; pictures are transformed")
        left: list[Rejected] = []
        column, stays = self._pictures(dataset, left)
        samples = replace(
            dataset.samples,
            values={**dataset.samples.values, see: column},
            columns={**dataset.samples.columns, "transform": np.full(len(column), "+".join(self.settings.how))},
        )
        return replace(dataset, samples=samples.subset(stays), rejected=(*dataset.rejected, *left))

    def _pictures(self, dataset: Dataset, left: list[Rejected]) -> tuple[Array, torch.Tensor]:
        """Return (N,) transformed pictures, and the rows that stay; rows of one value share one picture."""
        samples, see, reader = dataset.samples, self.settings.see, MODALITIES.get("image")()
        values, column = np.asarray(samples.values[see]), np.empty(len(samples), dtype=object)
        stays: list[int] = []
        made: dict[Any, Array] = {}
        for row, value in enumerate(values):
            key = value if isinstance(value, Path) else id(value) if values.dtype == object else row
            try:
                if samples.present[see][row] and key not in made:
                    made[key] = self.changed(np.asarray(reader.read(value)))
                column[row] = made.get(key)
                stays.append(row)
            except DataError as error:
                left.append(Rejected(str(samples.ids[row]), see, str(value)[:200], str(error)))
        return column, torch.tensor(stays, dtype=torch.int64)

    def changed(self, picture: Array) -> Array:
        """Return a picture (h, w, 3) after all changes."""
        for name in self.settings.how:
            picture = HOW[name](picture)
        return np.ascontiguousarray(picture)
