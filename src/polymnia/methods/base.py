"""A method: what is done about forgetting; it returns losses and never runs the loop."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.models.base import Model, Output
from polymnia.randomness import Randomness
from polymnia.registry import NoSettings, Registry
from polymnia.state import Tree

Terms = dict[str, Tensor]
"""Named scalar losses; the trainer adds them up."""

Off = Mapping[str, object] | str | None
"""The settings that turn a method off, or why it cannot be."""


@dataclass
class Clock:
    """Where training is; the trainer sets it."""

    stage: int = 0
    epoch: int = 0
    step: int = 0
    """Optimiser steps in this stage."""
    total: int = 0
    """Optimiser steps that this stage will have."""
    per_epoch: int = 0
    """Optimiser steps of one of its epochs."""

    @property
    def progress(self) -> float:
        """The share of the stage's steps that are done."""
        return self.step / self.total if self.total else 1.0


class Method:
    """Base of all methods, and by itself: fine-tuning.

    Five hooks, none mandatory, called in this order: `before_stage`, then for each step `loss`,
    `after_backward`, `after_step`, then `after_stage`. A method *returns* losses. It never calls backward,
    zero_grad or step, never moves tensors to a device and never writes a loop over epochs.

    `Settings` is a frozen dataclass beside the method. What must survive a restart is named in `state`.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    """What the model's family must provide."""
    state: ClassVar[tuple[str, ...]] = ()
    """Attributes that must survive: tensors, scalars, dicts and lists of them, or anything with a `state_dict`."""
    looks_back: ClassVar[bool] = False
    """Whether it may open the samples of earlier stages; for others a stage's `earlier` is sealed."""
    passes: ClassVar[int | None] = None
    """How often it sees each sample of a stage; None: as the trainer is set."""
    parts: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Settings of the model that its published system has; they hold where a user does not say otherwise."""
    off: ClassVar[Off] = None
    """Settings under which it is fine-tuning exactly, bit for bit, or in words why there are none; it is tested."""

    Settings: type[Any] = NoSettings

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        self.model = model
        self.settings = self.Settings() if settings is None else settings
        self.randomness = randomness or Randomness(0)
        self.clock = Clock()
        self.device = torch.device("cpu")
        self.average: Callable[[list[Tensor]], None] = lambda tensors: None
        """Averages tensors over all processes, in place: for gradients that a method takes itself."""
        lacking = sorted(self.needs - model.provides)
        if lacking:
            raise SettingsError(
                f"method {self.name!r} needs {', '.join(lacking)} from its model, and {model.name!r} has not: "
                f"it provides {', '.join(sorted(model.provides)) or 'nothing'}."
            )

    @classmethod
    def parts_of(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the settings of the model that it wishes for, set as it is: its `parts`.

        Parameters
        ----------
        settings : Mapping
            The method's own as they were given: some may be missing, and none is checked.
        """
        return cls.parts

    # the five hooks -------------------------------------------------------------------------------------------

    def before_stage(self, stage: Stage) -> None:
        """Prepare for a stage; the model has grown by it."""

    def loss(self, batch: Batch) -> Terms:
        """Return the named losses of one batch; an empty dict means that there is nothing to step."""
        return {"task": self.task_loss(self.model(batch))}

    def after_backward(self) -> None:
        """Look at, or change, the gradients (summed over processes, not yet clipped)."""

    def after_step(self) -> None:
        """React to the changed weights."""

    def after_stage(self, stage: Stage) -> None:
        """Remember what is worth remembering."""

    # what the trainer and the evaluation ask ------------------------------------------------------------------

    def training_samples(self, stage: Stage) -> Samples:
        """Return what to train on in a stage."""
        return stage.train

    def predict(self, batch: Batch) -> Output:
        """Return the output that is scored and served; no gradients."""
        return self.model.predict(batch)

    def answer(self, batch: Batch) -> list[str]:
        """Return the texts that are scored and served, one a sample; only over families that provide "text"."""
        return self.model.answer(batch)

    def draw(self, batch: Batch, *, random: torch.Generator) -> Tensor:
        """Return codes (B, T) of the pictures that are scored, one a sample; of families that provide "drawing"."""
        model: Any = self.model
        codes: Tensor = model.draw(batch, random=random)
        return codes

    def memory_bytes(self) -> int:
        """Return the bytes of samples, statistics and copies that the method keeps beside the model."""
        return tree_bytes(self.state_dict())

    def state_dict(self) -> dict[str, Tree]:
        """Return the attributes named in `state`."""
        return {name: _saved(getattr(self, name)) for name in self.state}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned; the model has its state already."""
        for name in self.state:
            setattr(self, name, self._loaded(getattr(self, name, None), state[name]))

    def _loaded(self, now: Any, saved: Tree) -> Any:
        if isinstance(saved, dict) and set(saved) == {"teacher"}:
            return self.model.rebuilt(saved["teacher"]).frozen_copy().to(self.device)
        if hasattr(now, "load_state_dict"):
            now.load_state_dict(_to(saved, self.device))
            return now
        return _to(saved, self.device)

    # what methods share ---------------------------------------------------------------------------------------

    def task_loss(self, output: Output) -> Tensor:
        """Return what the model's family minimises."""
        return self.model.task_loss(output, progress=self.clock.progress)

    def batches(self, samples: Samples, size: int = 256) -> Iterator[Batch]:
        """Yield all samples in order, on the method's device."""
        for rows in torch.arange(len(samples)).split(size):
            yield samples.batch(rows).to(self.device)


def _saved(value: Any) -> Tree:
    if isinstance(value, Model):
        return {"teacher": value.state_tree()}
    if isinstance(value, nn.Module) or hasattr(value, "state_dict"):
        return value.state_dict()
    return value


def _to(tree: Tree, device: torch.device) -> Tree:
    if isinstance(tree, Tensor):
        return tree.to(device)
    if isinstance(tree, dict):
        return {key: _to(value, device) for key, value in tree.items()}
    return [_to(value, device) for value in tree] if isinstance(tree, list) else tree


def tree_bytes(tree: Tree) -> int:
    """Return the bytes of all tensors in a tree."""
    if isinstance(tree, Tensor):
        return tree.numel() * tree.element_size()
    if isinstance(tree, dict | list):
        return sum(tree_bytes(part) for part in (tree.values() if isinstance(tree, dict) else tree))
    return 0


METHODS: Registry[type[Method]] = Registry("method", "polymnia.methods")
register = METHODS.register
