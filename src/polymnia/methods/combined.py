"""`combined`: a method, and beside it others that only add losses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from polymnia.config import Named, part, whole
from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.methods.adding import Adding
from polymnia.methods.base import METHODS, Method, Off, Terms, register
from polymnia.models.base import Model, Output
from polymnia.randomness import Randomness
from polymnia.state import Tree


@register("combined")
class Combined(Method):
    """The first of several methods as it is, and the losses that the others add.

    So a rival gets what is not its own: ``of: [{name: ewc, strength: 10}, drawing-distillation]``. The first decides
    what is trained on, what is remembered of it and what is predicted; the others see every batch and every hook, and
    their losses are summed with its own. All of them see one gradient. Of the parts of a model that several wish for,
    the first to name one is heard.

    Source: our own, for fair comparisons: Wei et al. 2025 (MoDE) give distillation to their method alone.
    """

    off: ClassVar[Off] = {}

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which methods."""

        of: tuple[Named, ...] = ("finetune",)
        """By name or with settings; all but the first must only add losses."""

        def __post_init__(self) -> None:
            if not self.of:
                raise SettingsError("method.of: no method is given, and at least one is needed")

    settings: Settings

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        self.members: list[Method] = []
        given = self.Settings() if settings is None else settings
        full: Any = tuple(whole(METHODS, each, f"method.of[{at}]") for at, each in enumerate(given.of))
        super().__init__(model, self.Settings(of=full), randomness=randomness)
        for at, each in enumerate(full):
            kind, own = part(METHODS, each, f"method.of[{at}]")
            if at and not issubclass(kind, Adding):
                able = [name for name in METHODS if issubclass(METHODS.get(name), Adding)]
                raise SettingsError(
                    f"method.of[{at}]: {kind.name!r} does more than add losses, so it can stand only first. Those that "
                    f"can stand behind another: {', '.join(able)}"
                )
            self.members.append(kind(model, own, randomness=self.randomness))
            self.members[-1].clock = self.clock
        self.first, *self.others = self.members
        self.looks_back, self.passes = self.first.looks_back, self.first.passes  # ty: ignore[invalid-attribute-access]

    @classmethod
    def parts_of(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what all of them wish for; the earlier are heard first."""
        wished: dict[str, Any] = {}
        for each in settings.get("of", cls.Settings().of):
            given = {"name": each} if isinstance(each, str) else each
            wished = {**METHODS.get(given.get("name", "")).parts_of(given), **wished}
        return wished

    def __getattr__(self, name: str) -> Any:
        """Return what else is asked of it: the first's."""
        if name.startswith("_") or "first" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.first, name)

    # where the trainer puts it --------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """The device of all of them."""
        return self._device

    @device.setter
    def device(self, device: torch.device) -> None:
        self._device = device
        for each in self.members:
            each.device = device

    @property
    def average(self) -> Callable[[list[Tensor]], None]:
        """What averages tensors over all processes, for all of them."""
        return self._average

    @average.setter
    def average(self, average: Callable[[list[Tensor]], None]) -> None:
        self._average = average
        for each in self.members:
            each.average = average

    # the hooks ------------------------------------------------------------------------------------------------

    def before_stage(self, stage: Stage) -> None:
        """Let all prepare."""
        for each in self.members:
            each.before_stage(stage)

    def loss(self, batch: Batch) -> Terms:
        """Return the first's losses and what the others add; where the first has nothing to learn, nobody has."""
        terms = self.first.loss(batch)
        for at, each in enumerate(self.others) if terms else ():
            assert isinstance(each, Adding)
            for name, term in each.added(batch).items():
                terms[name if name not in terms else f"{name} {at + 1}"] = term
        return terms

    def after_backward(self) -> None:
        """Let all look at the gradients."""
        for each in self.members:
            each.after_backward()

    def after_step(self) -> None:
        """Let all react."""
        for each in self.members:
            each.after_step()

    def after_stage(self, stage: Stage) -> None:
        """Let all remember."""
        for each in self.members:
            each.after_stage(stage)

    # what the first decides, and what is kept of all ----------------------------------------------------------

    def training_samples(self, stage: Stage) -> Samples:
        """Return what the first trains on."""
        return self.first.training_samples(stage)

    def predict(self, batch: Batch) -> Output:
        """Return what the first predicts."""
        return self.first.predict(batch)

    def answer(self, batch: Batch) -> list[str]:
        """Return what the first answers."""
        return self.first.answer(batch)

    def memory_bytes(self) -> int:
        """Return the bytes that all of them keep."""
        return sum(each.memory_bytes() for each in self.members)

    def state_dict(self) -> dict[str, Tree]:
        """Return the state of each."""
        return {"of": [each.state_dict() for each in self.members]}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        for each, held in zip(self.members, state["of"], strict=True):
            each.load_state_dict(held)
