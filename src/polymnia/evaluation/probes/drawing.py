"""`drawing`: how a model draws after each stage, beside how it drew before any: inter-modal forgetting."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from PIL import Image as Pillow
from torch import Tensor

from polymnia.config import Named, whole
from polymnia.data.modality import Array
from polymnia.data.source import SOURCES
from polymnia.data.stage import Stage, Stream
from polymnia.errors import SettingsError
from polymnia.evaluation.gallery import Gallery, gallery, pixels
from polymnia.evaluation.picture_features import PictureFeatures
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.probes.likelihood import nats
from polymnia.evaluation.written import ROWS
from polymnia.hosts.pictures import square
from polymnia.hosts.unified import as_codes
from polymnia.methods.base import Method
from polymnia.methods.finetune import Finetune

BEFORE = " before"
CHANGED = ("NLL", "agreement", "Frechet", "kernel distance")
"""The figures whose change since before any stage is one too."""


@register("drawing")
class DrawingProbe(Probe):
    """What a model draws for a fixed set of prompts, and how likely real pictures are to it.

    `NLL`: mean negative log-likelihood of a code of real test pictures, in nats, given their prompts. Then, of pictures
    drawn after each stage with the same random numbers (how codes are chosen is the model's setting `drawing`):

    - `agreement`: the share that show all that was asked for, `agreement A`: attribute A alone (column `shows`), as a
      judge reads them: a ridge classifier on features, fitted on real training pictures as they are and as the host's
      tokeniser gives them back, for whatever is drawn comes from it.
    - `Frechet`: the distance to real training pictures; `Frechet low` and `Frechet high`: 95 %, by a bootstrap over
      what was drawn. Few samples make it too large: compare with `Frechet of real`, of as many.
    - `kernel distance`: the same without that bias; it may be below 0.
    - `diversity`: mean distance between pictures of one concept. `image alignment`: mean cosine to the real training
      pictures of the same concept.

    Each is there four times: of the model, ` before` of the host alone, ` of codes` of the real pictures of the same
    prompts after the host's tokeniser, which no drawing can be expected to surpass, and ` of real` of these pictures
    themselves: there `agreement` is how good the judge is. `X change`: after − before, of NLL, agreement and both
    distances; the first two are inter-modal forgetting. `unchanged`: the share of pictures that are, code for code,
    what the host drew.

    Features are those of EfficientNet-Lite0 (ImageNet-1k), averaged over the picture, so that no distance compares with
    a paper's. Some pictures are kept in the stages' folders. Empty for families that draw nothing.

    Source: Wei et al. 2025, with CLIP's features and cosines; ΔNLL and the judge are the specification's,
    sections 1.3 and 6.1.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Of which source, and how many."""

        pictures: Named
        """A source with samples of the task generation, all of them; its test split is drawn."""
        tested: int = 500
        """Test pictures whose likelihood is taken, at most."""
        drawn: int = 200
        """Pictures that are drawn after each stage, at most: one for each of the first of those."""
        real: int = 1000
        """Real training pictures, at most."""
        shown: int = 6
        """Prompts whose pictures are kept after each stage."""
        features: Named = field(
            default_factory=lambda: {"name": "efficientnet-lite0", "crop": 1.0, "grid": 1}  # the mean of all it sees
        )
        """An encoder of pictures, or "pixels"."""

        def __post_init__(self) -> None:
            where = "evaluation.probes.drawing"
            for name, least in (("tested", 2), ("drawn", 2), ("real", 2), ("shown", 0)):
                if getattr(self, name) < least:
                    raise SettingsError(f"{where}.{name}: {getattr(self, name)} is given; at least {least} is accepted")
            object.__setattr__(self, "pictures", whole(SOURCES, self.pictures, f"{where}.pictures"))

    each = True
    state: ClassVar[tuple[str, ...]] = ("fixed", "codes")
    held = MappingProxyType({"agreement": f"agreement{BEFORE}"})
    promised = MappingProxyType({"unchanged": "pictures"})

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.features = PictureFeatures(settings.features)
        self.fixed: Figures = {}
        """What no stage changes: figures of the host, of codes and of real pictures."""
        self.codes: Tensor | None = None
        """(n, T) what the host drew."""
        self._gallery: Gallery | None = None
        self._kept: list[dict[str, Any]] = []

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return figures of the stage, of the host alone and of real pictures."""
        if "drawing" not in method.model.provides:
            return {}
        model: Any = method.model
        held = self._held(model)
        if self.codes is None:
            self._fix(held, alone(method))
        assert self.codes is not None
        codes = drawn(method, held)
        found = {"NLL": nll(method, held), **held.looked_at(self._seen(model, held, codes))}
        changes = {f"{name} change": found[name] - self.fixed[name + BEFORE] for name in CHANGED if name in found}
        same = {"unchanged": float((codes == self.codes).all(1).double().mean())}
        self._kept = self._show(model, held, codes)
        return {**found, **changes, **same, **self.fixed}

    def record(self) -> dict[str, Any] | None:
        """Return some pictures: what was asked, the real one, what the host drew and what the model drew."""
        return {"pictures": self._kept} if self._kept else None

    def _held(self, model: Any) -> Gallery:
        if self._gallery is None:
            s = self.settings
            source = {"name": s.pictures} if isinstance(s.pictures, str) else s.pictures
            self._gallery = gallery(model, source, features=self.features, tested=s.tested, drawn=s.drawn, real=s.real)
        return self._gallery

    def _fix(self, held: Gallery, host: Method) -> None:
        """Measure what no stage changes."""
        model: Any = host.model
        self.codes = drawn(host, held)
        m = held.asked.modalities[0]
        real = torch.cat([as_codes(batch.values[m]).cpu() for batch in host.batches(held.asked, ROWS)])
        looks = {
            BEFORE: self._seen(model, held, self.codes),
            " of codes": self._seen(model, held, real),
            " of real": held.real,
        }
        self.fixed = {f"NLL{BEFORE}": nll(host, held)}
        for suffix, features in looks.items():
            self.fixed |= {name + suffix: value for name, value in held.looked_at(features).items()}

    def _seen(self, model: Any, held: Gallery, codes: Tensor) -> Tensor:
        return held.features.of_pictures(pixels(model, codes))

    def _show(self, model: Any, held: Gallery, codes: Tensor) -> list[dict[str, Any]]:
        """Return the first pictures of different concepts."""
        assert self.codes is not None
        first = {concept: row for row, concept in reversed(list(enumerate(held.concepts)))}
        rows = sorted(first.values())[: self.settings.shown]
        if not rows:
            return []
        now, host = pixels(model, codes[rows]), pixels(model, self.codes[rows])
        read, before = (held.judge.read(held.features.of_pictures(shown)) for shown in (now, host))
        asked = held.asked.columns["prompt"].tolist()
        return [
            {"id": str(held.asked.ids[row]), "asked": asked[row], "shows": dict(held.shown[row]), "read": seen,
             "read before": was, "right": agrees(seen, held.shown[row]), "right before": agrees(was, held.shown[row]),
             "drawn": png(mine), "before": png(its), "real": png(square(held.pictures[row], mine.shape[0]))}
            for row, mine, its, seen, was in zip(rows, now, host, read, before, strict=True)
        ]  # fmt: skip


def agrees(read: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    """Return whether what a judge read is what was asked for; nothing read is not right."""
    return bool(read) and all(read.get(name, value) == value for name, value in asked.items())


def alone(method: Method) -> Method:
    """Return a method over the host with nothing beside it: over a model that has not grown."""
    host = Finetune(method.model.blank(), randomness=method.randomness)
    host.device = method.device
    return host


def drawn(method: Method, held: Gallery) -> Tensor:
    """Return codes (n, T): the same random numbers every time, so that equal models draw equal pictures."""
    random = method.randomness.fresh("probe", "drawing")
    return torch.cat([method.draw(batch, random=random).cpu() for batch in method.batches(held.asked, ROWS)])


def nll(method: Method, held: Gallery) -> float:
    """Return the mean negative log-likelihood of a code of the test pictures, in nats."""
    found = nats(method, held.tested)
    assert found is not None
    return -found


def png(picture: Array) -> str:
    """Return a picture (h, w, 3) in uint8 as the base64 text of a PNG file."""
    file = io.BytesIO()
    Pillow.fromarray(picture).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
