"""A tiny model, batches for it, and short real trainings."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.stage import Card, Outline, Stage, Stream
from polymnia.data.tokens import Tokens
from polymnia.encoders.random_transformer import RandomTransformer
from polymnia.evaluation.accuracy import accuracy
from polymnia.hosts.texts import tokenised
from polymnia.hosts.unified import as_tokens
from polymnia.methods.base import METHODS
from polymnia.methods.drawing_distillation import DrawingDistillation
from polymnia.models.adapted import Adapted
from polymnia.models.classifier import Classifier
from polymnia.models.language_model import LanguageModel
from polymnia.models.unified_model import UnifiedModel, marked
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
        ids = np.array([f"s{i}" for i in range(len(batch))])
        samples = Samples(ids, {"x": Tokens.dense(batch.values["x"])}, {"x": has}, batch.targets)
        classes = tuple(sorted(set(batch.targets.tolist())))
        return Stage(index=index, name=str(index), modalities=("x",), classes=classes, widths={"x": 3},
                     train=samples, valid=samples, test=samples)  # fmt: skip

    return make


@pytest.fixture
def adapted():
    """Return a function that makes an adapted model of modalities "a" (width 8) and "b" (12), two layers each.

    ``adapted(stages=2, adapter="moe")`` has grown by two stages of two classes.
    """

    def make(stages: int = 1, *, seed: int = 0, **settings) -> Adapted:
        held = Adapted.Settings(width=6, **settings)
        size = RandomTransformer.Settings
        encoders = {
            "a": RandomTransformer(size(width=8, layers=2, heads=2, seed=1)),
            "b": RandomTransformer(size(width=12, layers=2, heads=2, seed=2)),
        }
        model = Adapted(held, seed=seed)
        model.attach({m: encoder.cut(0)[1] for m, encoder in encoders.items()})  # nothing is computed ahead
        for index in range(stages):
            model.grow(two_classes(index))
        return model

    return make


@pytest.fixture
def two_classes_more():
    """Return a function that gives the outline of stage `index` of an `adapted` model."""
    return two_classes


def two_classes(index: int) -> Outline:
    return Outline(index=index, name=str(index), modalities=("a", "b"), classes=(2 * index, 2 * index + 1),
                   widths={"a": 8, "b": 12})  # fmt: skip


@pytest.fixture
def token_batch():
    """Return a function that makes a batch for an `adapted` model: targets, and which samples lack "b"."""

    def make(*targets: int, seed: int = 0, lacking: tuple[int, ...] = ()) -> Batch:
        n, has = len(targets), torch.ones(len(targets), dtype=torch.bool)
        has[list(lacking)] = False
        with drawing_from(seed):
            values = {"a": torch.randn(n, 3, 8), "b": torch.randn(n, 2, 12) * has[:, None, None]}
        return Batch(values, torch.tensor(targets), {"a": None, "b": has[:, None].expand(n, 2).clone()},
                     {"a": None, "b": has if lacking else None})  # fmt: skip

    return make


@pytest.fixture
def token_stage():
    """Return a function that makes a stage of an `adapted` model whose samples are those of a batch."""

    def make(batch: Batch, index: int = 0) -> Stage:
        samples = Samples([f"s{i}" for i in range(len(batch))], {m: Tokens.dense(v) for m, v in batch.values.items()},
                          {m: batch.has(m) for m in batch.values}, batch.targets)  # fmt: skip
        outline = two_classes(index)
        return Stage(index=index, name=outline.name, modalities=outline.modalities, classes=outline.classes,
                     widths=outline.widths, train=samples, valid=samples, test=samples)  # fmt: skip

    return make


@pytest.fixture
def moved():
    """Return a function that moves all trained weights of a model a little, the same way every time."""

    def move(model, by: float = 0.1) -> None:
        with torch.no_grad(), drawing_from(11):
            for p in model.trainable().values():
                p.add_(by * torch.randn_like(p))

    return move


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


# language -----------------------------------------------------------------------------------------------------

THINGS = [(colour, shape) for colour in ("red", "green", "blue") for shape in ("star", "dot", "box")]


@pytest.fixture
def speaker(tiny_lm):
    """Return a function that makes a language model that has not grown yet: ``speaker(path=folder, most=6)``."""

    def make(*, path=None, seed=0, **settings) -> LanguageModel:
        given = {
            "host": {"name": "checkpoint", "path": str(path or tiny_lm)},
            "most": 6,
            "templates": False,
            **settings,
        }
        return LanguageModel(LanguageModel.Settings(**given), seed=seed)

    return make


@pytest.fixture
def language_stage():
    """Return a function that makes a stage of nine things: ``language_stage(model, 1, "answering", "sound")``.

    A thing is asked about, or described, so many times as `copies` says; its `truth` is known.
    """

    def make(model, index: int, task: str, modality: str, *, copies: int = 1) -> Stage:
        things = [thing for thing in THINGS for _ in range(copies)]
        n, asks = len(things), task == "answering"
        values = torch.randn(len(THINGS), 2, 4, generator=torch.Generator().manual_seed(index))
        tokens = Tokens.dense(values).subset(torch.arange(len(THINGS)).repeat_interleave(copies))
        columns = {
            "task": [task] * n,
            "prompt": ["what colour is it?" if asks else f"describe the {modality}."] * n,
            "answer": [colour if asks else f"a {colour} {shape}" for colour, shape in things],
            "truth": [json.dumps({"": f"a {c} {s}", "what colour is it?": c}) for c, s in things],
        }
        samples = Samples(
            np.array([f"{task} {modality} {row}" for row in range(n)]), {modality: tokens},
            {modality: torch.ones(n, dtype=torch.bool)}, torch.full((n,), -1),
            {name: np.array(column, dtype=np.str_) for name, column in columns.items()},
        )  # fmt: skip
        stage = Stage(index=index, name=f"{task} {modality}", task=task, modalities=(modality,), widths={modality: 4},
                      train=samples, valid=samples, test=samples)  # fmt: skip
        card = Card(title="made", licence="none", citation="none")
        stream = Stream(name="made", scenario="tasks", stages=(stage,), kinds={modality: "table"}, class_names=(),
                        card=card)  # fmt: skip
        return model.ready(stream, model.settings)[0]

    return make


@pytest.fixture(scope="session")
def reader(tiny_lm, tmp_path_factory):
    """Return the folder of a tiny host that has learned to ask about a description, and to answer."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    from polymnia.hosts.base import Host
    from polymnia.hosts.texts import padded
    from polymnia.hosts.tokeniser import Tokeniser

    network, tokeniser = LlamaForCausalLM.from_pretrained(tiny_lm), Tokeniser.load(tiny_lm)
    texts = [(Host.reading(None, f"a {c} {s}"), f"what colour is it ? {c}") for c, s in THINGS]
    texts += [(Host.reading(None, f"a {c} {s}", "what colour is it?"), c) for c, s in THINGS]
    pairs = [(tokeniser.prompt(prompt), tokeniser.answer(answer)) for prompt, answer in texts]
    ids = padded([prompt + answer for prompt, answer in pairs])
    labels = padded([[-1] * len(prompt) + answer for prompt, answer in pairs])
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    with drawing_from(0):
        for _ in range(100):
            mask = (ids >= 0).long()
            logits = network(input_ids=ids.clamp(min=0), attention_mask=mask).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    folder = tmp_path_factory.mktemp("reader")
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_lm).save_pretrained(folder)
    return folder


# reading and drawing ------------------------------------------------------------------------------------------


@pytest.fixture
def painter(tiny_unified):
    """Return a function that makes a unified model that has not grown yet: ``painter(delta="mixture")``."""

    def make(*, seed=0, **settings) -> UnifiedModel:
        model = UnifiedModel(UnifiedModel.Settings(**{"host": "words", "most": 4, **settings}), seed=seed)
        model.host = tiny_unified
        return model

    return make


@pytest.fixture
def unified_stage():
    """Return a function that makes a stage of nine things: ``unified_stage(model, 1, "generation")``.

    A thing is asked about, or drawn; the picture's four quarters are colour, shape and two that are random.
    """

    def make(model, index: int, task: str, *, rows: int = 9) -> Stage:
        things, draws = THINGS[:rows], task == "generation"
        n, random = len(things), torch.Generator().manual_seed(index)
        of = {word: code for code, word in enumerate(("red", "green", "blue", "star", "dot", "box"))}
        codes = [[of[c], of[s], *torch.randint(8, (2,), generator=random).tolist()] for c, s in things]
        columns = {
            "task": [task] * n,
            "prompt": [f"draw a {c} {s}" if draws else "what colour is it ?" for c, s in things],
            **({} if draws else {"answer": [c for c, _ in things]}),
        }
        samples = Samples(
            np.array([f"{index} {task} {row}" for row in range(n)]),
            {"image": Tokens.dense(as_tokens(torch.tensor(codes)))},
            {"image": torch.ones(n, dtype=torch.bool)}, torch.full((n,), -1),
            {name: np.array(column, dtype=np.str_) for name, column in columns.items()},
        )  # fmt: skip
        stage = Stage(index=index, name=f"{index} {task}", task=task, modalities=("image",), widths={"image": 2},
                      train=samples, valid=samples, test=samples)  # fmt: skip
        card = Card(title="made", licence="none", citation="none")
        stream = Stream(name="made", scenario="tasks", stages=(stage,), kinds={"image": "image"}, class_names=(),
                        card=card)  # fmt: skip
        told = tokenised(stream, model.loaded.tokeniser)[0]
        parts = {split: marked(getattr(told, split), draws) for split in ("train", "valid", "test")}
        return replace(told, **parts)

    return make


@pytest.fixture
def distilled(painter, unified_stage):
    """Return a function that gives a method pictures to draw: nine things, or fewer."""

    def give(method, rows: int = 9):
        for each in getattr(method, "members", [method]):
            if isinstance(each, DrawingDistillation):
                each._pictures = unified_stage(method.model, 99, "generation", rows=rows).train
        return method

    return give
