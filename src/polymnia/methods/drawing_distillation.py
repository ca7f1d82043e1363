"""`drawing-distillation`: what the model drew before teaches it while it learns to read; beside any method."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from polymnia.config import Named
from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.data.wording import GENERATION
from polymnia.errors import SettingsError
from polymnia.losses.code_distillation import over_codes
from polymnia.methods.adding import Adding
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.rounds import Rounds
from polymnia.models.base import Model
from polymnia.models.drawings import drawings
from polymnia.models.hosted import host
from polymnia.randomness import Randomness


@register("drawing-distillation")
class DrawingDistillation(Adding):
    """Pictures that are drawn beside each batch: their codes stay as likely as a teacher finds them.

    Adds ``distil · L_KD``, ``L_KD = T² · mean KL(teacher ‖ student)`` over the tokens that foretell a code, and over
    codes alone. The pictures are none of the stream; they come in rounds, each in a new order. They pass as what the
    model's `route_image` makes of them: with "output" all tokens count as a picture's, and no part that is for texts
    gets a gradient.

    The teacher is by default the host with nothing carried, as in the paper, until a stage has taught drawing; from
    then on it is the model as the last such stage left it, for the host would pull back what was learned there. In
    streams without such a stage that is the paper's teacher. In a stage that teaches drawing nothing is added. The
    other half, keeping how texts are written while drawing is learned, no paper describes: it is left out.

    The teacher is asked at every step, which is one forward pass without gradients; kept logits would be length · K
    numbers a picture, 32 MiB with Chameleon's codes.

    Source: Wei et al. 2025 (MoDE), its distillation, here as a part of its own, so that every method can have the same.
    """

    needs = frozenset({"logits", "drawing"})
    state = ("teacher", "rounds")
    off: ClassVar[Off] = {"distil": 0.0}

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How strong, how soft, from whom, and on which pictures."""

        distil: float = 0.3
        """λ; 0: no picture is looked at."""
        temperature: float = 2.0
        double_temperature: bool = False
        """Whether logits are divided by the temperature twice, as in the released code."""
        top: int | None = None
        """Over so many of the teacher's likeliest codes; none: over all. The released code has 256."""
        teacher: Literal["learned", "host", "before"] = "learned"
        """The host until drawing is taught, then the model after the last such stage; the host alone; the model after
        the last stage, whatever it was."""
        pictures: Named | None = None
        """A source of pictures that are drawn, with its settings; none: the host's own."""
        number: int | None = None
        """Pictures with each batch; none: as many as it has samples, as in the released code."""
        always: bool = False
        """Whether also in stages that teach drawing."""
        official_skip: bool = False
        """Whether a batch without any picture is passed over, as in the released code: how much distillation there is
        depends on the data then."""

        def __post_init__(self) -> None:
            if self.temperature <= 0:
                raise SettingsError(f"method.temperature: {self.temperature} is given; a number above 0 is needed")
            for name in ("top", "number"):
                given = getattr(self, name)
                if given is not None and given < 1:
                    raise SettingsError(f"method.{name}: {given} is given, and at least 1 is needed (or null)")

    settings: Settings
    model: Any
    teacher: Any

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.teacher = None  # none: the host with nothing carried
        self.rounds = Rounds(self.randomness, "pictures")
        self._pictures: Samples | None = None

    def added(self, batch: Batch) -> Terms:
        """Return the distance to the teacher on the next pictures."""
        if not self.due(batch):
            return {}
        number = len(batch) if self.settings.number is None else self.settings.number
        rows = self.rounds.next(number, of=len(self.pictures))
        return {"drawing": self.settings.distil * self.distance(self.pictures.batch(rows).to(self.device))}

    def due(self, batch: Batch) -> bool:
        """Return whether pictures are drawn beside a batch."""
        s = self.settings
        if not s.distil or (self.model.grown[-1].task == GENERATION and not s.always):
            return False
        return not s.official_skip or any(bool(batch.has(m).any()) for m in batch.modalities)

    def distance(self, pictures: Batch) -> Tensor:
        """Return L_KD on pictures that are drawn, a scalar."""
        s, teacher = self.settings, self.bare if self.teacher is None else self.teacher
        with torch.no_grad(), teacher.evaluating():
            wanted = teacher(pictures).logits
        said, v = self.model(pictures).logits, self.model.unified.vocabulary
        return over_codes(said[:, v:], wanted[:, v:], temperature=s.temperature, top=s.top, twice=s.double_temperature)

    @property
    def pictures(self) -> Samples:
        """The pictures, with prompts; they are encoded when they are first drawn."""
        if self._pictures is None:
            offered = getattr(host(self.model.settings), "drawings", None)
            source = self.settings.pictures or (offered() if offered else None)
            if source is None:
                raise SettingsError(
                    f"method.pictures is missing: host {self.model.settings.host['name']!r} offers none. Name a source "
                    "of pictures that are drawn (task generation; see `polymnia streams`)"
                )
            named = {"name": source} if isinstance(source, str) else source
            self._pictures = drawings(self.model, named).train
        return self._pictures

    @cached_property
    def bare(self) -> Any:
        """A model that has not grown: its host carries nothing."""
        return self.model.blank().eval()

    def after_stage(self, stage: Stage) -> None:
        """Keep the model as the teacher, if it is the one that is set."""
        s = self.settings
        if s.distil and (s.teacher == "before" or (s.teacher == "learned" and stage.task == GENERATION)):
            self.teacher = self.model.frozen_copy()
