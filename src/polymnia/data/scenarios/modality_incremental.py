"""`modality-incremental`: the same classes, seen through another modality at each stage."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Scenario, register
from polymnia.data.source import Dataset
from polymnia.errors import SettingsError, unknown


@register("modality-incremental")
class ModalityIncremental(Scenario):
    """Stage s brings the samples that have its modality: a new sensor is switched on.

    A sample that has several modalities comes back in several stages, each time on the same side of the split.
    Where the modality is given for all samples, so are the classes; only the way of seeing them is new.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """The modalities' order, and whether earlier ones stay switched on."""

        order: tuple[str, ...] = ()
        """One modality a stage, or several joined by "+"; a modality that is not named does not come. Empty: drawn."""
        cumulative: bool = False
        """Samples of stage s are seen through its modality and all earlier ones."""

    settings: Settings

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part for each modality, or set of them, in the order."""
        samples = dataset.samples
        order = self.settings.order or self.ordered((), sorted(samples.values), what="modality")
        parts: list[Part] = []
        before: tuple[str, ...] = ()
        for name in order:
            new = subset(name, samples.values)
            again = sorted(set(new) & set(before))
            if again:
                raise SettingsError(f"stream.order: modality {again[0]!r} comes twice")
            before = (*before, *new)
            has = np.any([samples.present[m].numpy() for m in new], axis=0)
            seen = before if self.settings.cumulative else new
            parts.append(Part(name="+".join(seen), rows=np.flatnonzero(has), modalities=seen))
        return parts


def subset(text: str, accepted: Collection[str]) -> tuple[str, ...]:
    """Return the modalities of "image+text".

    Examples
    --------
    >>> subset("text+image", ["image", "text"])
    ('text', 'image')
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split("+")))
    strange = [name for name in names if name not in accepted]
    if strange:
        raise SettingsError(f"stream: {unknown('modality', strange[0], accepted)}")
    return names
