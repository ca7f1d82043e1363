"""A fixed set of real pictures and prompts, against which is seen how a model draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.samples import Samples
from polymnia.errors import DataError
from polymnia.evaluation.frechet import frechet, interval
from polymnia.evaluation.kernel_distance import kernel_distance
from polymnia.evaluation.likeness import alignment, diversity
from polymnia.evaluation.picture_features import PictureFeatures, pixels_of
from polymnia.evaluation.picture_judge import Judge, judge, shows
from polymnia.evaluation.written import ROWS
from polymnia.hosts.unified import as_codes
from polymnia.models.drawings import pictures, ready
from polymnia.models.unified_model import UnifiedModel
from polymnia.randomness import derive


@dataclass(frozen=True)
class Gallery:
    """What is drawn, and the real pictures it is compared with.

    Parameters
    ----------
    tested : Samples
        Test samples, encoded by the host.
    asked : Samples
        The first of them: their prompts are drawn.
    shown : sequence of Mapping
        (n) what the pictures of those that are asked show.
    concepts : sequence of str
        (n) their concepts.
    pictures : sequence of Array
        (n) the real pictures.
    real : Tensor
        (n, D) features of these.
    reference : Tensor
        (R, D) features of real training pictures.
    of_reference : sequence of str
        (R) their concepts.
    judge : Judge
        It learned from these, as they are and as the host's tokeniser gives them back.
    features : PictureFeatures
        What makes features.
    """

    tested: Samples
    asked: Samples
    shown: Sequence[Mapping[str, str]]
    concepts: Sequence[str]
    pictures: Sequence[Array]
    real: Tensor
    reference: Tensor
    of_reference: Sequence[str]
    judge: Judge
    features: PictureFeatures

    def looked_at(self, features: Tensor) -> dict[str, float]:
        """Return figures of pictures by their features (n, D), one for each that is asked."""
        random = torch.Generator().manual_seed(derive(0, "gallery", "bootstrap"))
        low, high = interval(features, self.reference, random=random)
        agreement = self.judge.agreement(features, self.shown).items()
        found: dict[str, float | None] = {
            **{f"agreement {name}".strip(): share for name, share in agreement},
            "Frechet": frechet(features, self.reference),
            "Frechet low": low,
            "Frechet high": high,
            "kernel distance": kernel_distance(features, self.reference),
            "diversity": diversity(features, self.concepts),
            "image alignment": alignment(features, self.concepts, self.reference, self.of_reference),
        }
        return {name: value for name, value in found.items() if value is not None}


def gallery(
    model: UnifiedModel,
    source: Mapping[str, Any],
    *,
    features: PictureFeatures,
    tested: int,
    drawn: int,
    real: int,
) -> Gallery:
    """Return the fixed set of a source: drawn once, and not by the run's seed, so that all runs are asked the same.

    Parameters
    ----------
    model : UnifiedModel
        Whose host encodes pictures.
    source : Mapping
        See `models.drawings`.
    features : PictureFeatures
        What makes features of pictures.
    tested, drawn, real : int
        At most so many test samples, of them such whose prompts are drawn, and training pictures.

    Raises
    ------
    SettingsError
        The source has no pictures to be drawn.
    DataError
        It has fewer than two test samples, or fewer than two training samples.
    """
    raw = pictures(source)
    stage = ready(model, raw)
    m = stage.modalities[0]
    learned, held = _some(stage.train, real, "train"), _some(stage.test, tested, "test")
    asked = held.subset(torch.arange(min(drawn, len(held))))
    if min(len(learned), len(asked)) < 2:
        raise DataError(
            f"pictures: {raw.name!r} has {len(learned)} training and {len(asked)} test pictures to draw; at least two "
            "of each are needed"
        )
    reference = features.of_values(_values(raw[0].train, learned, m))
    given_back = features.of_values(np.stack(pixels(model, _codes(learned, m))))
    values = _values(raw[0].test, asked, m)
    return Gallery(
        tested=held,
        asked=asked,
        shown=shows(asked),
        concepts=concepts(asked),
        pictures=pixels_of(values),
        real=features.of_values(values),
        reference=reference,
        of_reference=concepts(learned),
        judge=judge(torch.cat([reference, given_back]), [*shows(learned), *shows(learned)]),
        features=features,
    )


def pixels(model: Any, codes: Tensor) -> list[Array]:
    """Return pictures (h, w, 3) in uint8 of codes (n, T)."""
    device = model.unified.marks().device
    return [picture for part in codes.split(ROWS) for picture in model.unified.pixels(part.to(device)).cpu().numpy()]


def _codes(samples: Samples, modality: str) -> Tensor:
    return torch.cat(
        [as_codes(samples.batch(rows).values[modality]) for rows in torch.arange(len(samples)).split(ROWS)]
    )


def concepts(samples: Samples) -> list[str]:
    """Return what makes pictures comparable: what they show, or else what was asked for."""
    shown, prompts = shows(samples), samples.columns["prompt"].tolist()
    return [", ".join(f"{k}: {each[k]}" for k in sorted(each)) or p for each, p in zip(shown, prompts, strict=True)]


def _some(samples: Samples, most: int, split: str) -> Samples:
    random = torch.Generator().manual_seed(derive(0, "gallery", split))
    return samples.subset(torch.randperm(len(samples), generator=random)[:most])


def _rows(samples: Samples, wanted: Samples) -> list[int]:
    """Return where the wanted samples stand among others: what was broken is not among the wanted."""
    at = {name: row for row, name in enumerate(samples.ids.tolist())}
    return [at[name] for name in wanted.ids.tolist()]


def _values(raw: Samples, wanted: Samples, modality: str) -> Array:
    return np.asarray(raw.values[modality])[_rows(raw, wanted)]
