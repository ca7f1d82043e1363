"""One method, one stage at a time: Polymnia's way through its Trainer, and the plain way."""

import gc
import random
import time
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmarks.plain import PLAIN
from benchmarks.plain.loop import BATCH, EPOCHS, RATE
from benchmarks.plain.rehearsal import MEMORY, REPLAYED
from benchmarks.streams import as_samples, as_stages, digits
from polymnia.data.stage import Stage
from polymnia.evaluation.accuracy import accuracy
from polymnia.methods.base import METHODS
from polymnia.models.classifier import Classifier
from polymnia.randomness import Randomness
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer


@dataclass(frozen=True)
class Material:
    """The same samples for all: as stages, as plain tensors, and what to test on."""

    stages: tuple[Stage, ...]
    parts: list[tuple[Tensor, Tensor]]
    test: tuple[Tensor, Tensor]

    @classmethod
    def made(cls) -> "Material":
        (x, y), test = digits()
        stages = as_stages(x, y)
        rows = [torch.isin(y, torch.tensor(stage.classes)) for stage in stages]
        return cls(stages, [(x[r], y[r]) for r in rows], test)


class Runner(Protocol):
    """Learns stage after stage; says how many samples that were, and how many it gets right in the end."""

    def learn(self, index: int) -> int: ...

    def accuracy(self) -> float: ...


class Ours:
    """A method over a classifier of the same shape as the plain network, through the Trainer as users run it."""

    def __init__(self, name: str, material: Material, seed: int) -> None:
        self.material = material
        shape = Classifier.Settings(width=100, projector="mlp", hidden=(100,), fusion="mean", head="linear")
        model = Classifier(shape, seed=seed)
        kind = METHODS.get(name)
        self.method = kind(model, settings(kind), randomness=Randomness(seed))
        how = TrainerSettings(epochs=EPOCHS, batch_size=BATCH, optimiser="sgd", lr=RATE, accelerator="cpu")
        self.events: list[dict[str, Any]] = []
        self.trainer = Trainer(self.method, how, emit=self.events.append)

    def learn(self, index: int) -> int:
        stage = self.material.stages[index]
        self.method.model.grow(stage)
        self.trainer.fit(stage)
        return self.trainer.position.samples_done

    def accuracy(self) -> float:
        return accuracy(self.method, as_samples(*self.material.test, "test-")).score


def settings(kind: Any) -> Any:
    """Return the method's settings: its defaults, with the memory and the draw of this benchmark."""
    wanted = {"memory": MEMORY, "draw": REPLAYED}
    return kind.Settings(**{k: v for k, v in wanted.items() if k in kind.Settings.__dataclass_fields__})


class Plain:
    """The plain counterpart."""

    def __init__(self, name: str, material: Material, seed: int) -> None:
        torch.manual_seed(seed)
        random.seed(seed)
        self.material, self.learner = material, PLAIN[name]()

    def learn(self, index: int) -> int:
        before = self.learner.trained
        self.learner.learn(*self.material.parts[index])
        return self.learner.trained - before

    def accuracy(self) -> float:
        x, y = self.material.test
        return float((self.learner.predict(x) == y).float().mean())


@dataclass
class Lap:
    """What a runner has done so far."""

    runner: Runner
    samples: int = 0
    seconds: float = 0.0

    def learn(self, index: int) -> None:
        gc.collect()
        began = time.process_time()
        done = self.runner.learn(index)
        self.seconds += time.process_time() - began
        self.samples += done

    @property
    def rate(self) -> float:
        return self.samples / self.seconds


def in_turn(runners: list[Runner], stages: int, *, first: int) -> list[Lap]:
    """Let each runner learn the first stage, then each the second, and so on; the one to begin changes."""
    laps = [Lap(runner) for runner in runners]
    for index in range(stages):
        for turn in range(len(laps)):
            laps[(turn + first + index) % len(laps)].learn(index)
    return laps
