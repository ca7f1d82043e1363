"""A tiny model, batches for it, and short real trainings."""

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.stage import Outline, Stage
from polymnia.data.tokens import Tokens
from polymnia.evaluation.accuracy import accuracy
from polymnia.methods.base import METHODS
from polymnia.models.classifier import Classifier
from polymnia.randomness import Randomness, drawing_from
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer


@pytest.fixture
def tiny_model():
    """Return a function that makes a model of one modality "x" of width 3 that knows so many classes."""

    def make(classes: int = 2) -> Classifier:
        model = Classifier(Classifier.Settings(width=4, projector="linear"))
        model.grow(Outline(index=0, name="0", modalities=("x",), classes=tuple(range(classes)), widths={"x": 3}))
        return model

    return make


@pytest.fixture
def tiny_batch():
    """Return a function that makes a batch of the given targets, with values drawn from a seed."""

    def make(*targets: int, seed: int = 0) -> Batch:
        with drawing_from(seed):
            return Batch({"x": torch.randn(len(targets), 1, 3)}, torch.tensor(targets), {"x": None}, {"x": None})

    return make


@pytest.fixture
def tiny_stage():
    """Return a function that makes a stage whose training samples are those of a batch."""

    def make(batch: Batch, index: int = 0) -> Stage:
        has = torch.ones(len(batch), dtype=torch.bool)
        ids = [f"s{i}" for i in range(len(batch))]
        samples = Samples(ids, {"x": Tokens.dense(batch.values["x"])}, {"x": has}, batch.targets)
        classes = tuple(sorted(set(batch.targets.tolist())))
        return Stage(index=index, name=str(index), modalities=("x",), classes=classes, widths={"x": 3},
                     train=samples, valid=samples, test=samples)  # fmt: skip

    return make


@pytest.fixture(scope="session")
def learned():
    """Return a function that trains a method on a stream's first stages.

    ``learned("replay", stream, memory=50)`` gives the method and, for each stage, its test accuracy at the end.
    """

    def make(name: str, stream, *, stages: int = 3, epochs: int = 3, lr: float = 0.003, **settings):
        kind = METHODS.get(name)
        method = kind(Classifier(), kind.Settings(**settings), randomness=Randomness(0))
        trainer = Trainer(method, TrainerSettings(epochs=epochs, lr=lr, accelerator="cpu", count_flops=False))
        for stage in stream.stages[:stages]:
            method.model.grow(stage)
            trainer.fit(stage)
        return method, [accuracy(method, stage.test).score for stage in stream.stages[:stages]]

    return make


@pytest.fixture(scope="session")
def fine_tuned(digits, learned):
    """What fine-tuning scores on each of three stages of digits at the end: the floor."""
    _, scores = learned("finetune", digits)
    assert scores[0] < 0.2 < 0.9 < scores[-1]
    return scores
