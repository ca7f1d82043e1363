"""A space that is easy to see through (one linear map a modality, codes that stand still), and a stream of texts."""

import json
from dataclasses import replace

import pytest
import torch

from polymnia.data.samples import Sample, Samples
from polymnia.data.stage import Card, Stage, Stream
from polymnia.data.tokens import Tokens
from polymnia.data.wording import asked
from polymnia.hosts.texts import tokenised
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.methods.finetune import Finetune
from polymnia.models.language_model import LanguageModel
from polymnia.models.shared_space import SharedSpace

WIDTH = 16


@pytest.fixture(scope="session")
def pairs_of_digits(digits):
    """Three stages of pairs with `pixels`: projections, spectrum, projections again; the test samples are shared."""

    def pairs(index, new, train, test):
        names = tuple(sorted(("pixels", new)))
        return replace(
            digits[0], index=index, name=f"{index + 1:02d}-{new}", task="pairing", modalities=names,
            widths={m: digits[0].widths[m] for m in names}, train=train.only(names), valid=test.only(names),
            test=test.only(names),
        )  # fmt: skip

    train, test = digits[0].train, digits[0].test
    half = len(train) // 3
    parts = [train.subset(torch.arange(i * half, (i + 1) * half)) for i in range(3)]
    # a third of the test samples are in no second stage: what is joined are the others
    rows = [torch.arange(len(test)), torch.arange(len(test) // 3, len(test)), torch.arange(len(test))]
    news = ("projections", "spectrum", "projections")
    stages = [pairs(i, new, parts[i], test.subset(rows[i])) for i, new in enumerate(news)]
    return replace(digits, stages=tuple(stages))


@pytest.fixture
def linear():
    """Return a function that makes a method over a space grown by some stages, with codes (L, 16) or none.

    Modality m is normalised and goes through ``projectors[m].map[-1]``, without a bias; tests write into its weight.
    """

    def make(stages, *, mediator="pixels", codes=None):
        book = None if codes is None else {"name": "ema", "codes": len(codes)}
        settings = SharedSpace.Settings(width=WIDTH, projector="normalised", mediator=mediator, codebook=book)
        model = SharedSpace(settings, seed=1)
        for stage in stages:
            model.grow(stage)
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for projector in model.projectors.values():
                last = projector.map[-1]
                last.weight.normal_(std=last.in_features**-0.5, generator=random)
                last.bias.zero_()
        if codes is not None:
            model.codebook.codes = torch.tensor(codes)
        return Finetune(model)

    return make


@pytest.fixture(scope="session")
def told(tiny_lm):
    """Three stages of texts: captions of images, answers about sounds, answers about images; six test samples each."""

    def part(task, m, side, n):
        colours = ("red", "blue", "green")
        samples = [
            Sample(
                f"{task} {m} {side} {i}",
                {},
                columns={
                    "task": task,
                    "prompt": asked(task, m, "what colour is it ?"),
                    "answer": f"a {colours[i % 3]} star" if task == "captioning" else colours[i % 3],
                    "references": json.dumps([f"a {colours[i % 3]} star", f"star {colours[i % 3]} a dot"])
                    if task == "captioning"
                    else json.dumps([colours[i % 3]] * 10),
                },
            )
            for i in range(n)
        ]
        values = torch.randn(n, 2, 3, generator=torch.Generator().manual_seed(n))
        held = Samples.of(samples)
        return replace(held, values={m: Tokens.dense(values)}, present={m: torch.ones(n, dtype=torch.bool)})

    pairs = (("captioning", "image"), ("answering", "sound"), ("answering", "image"))
    stages = tuple(
        Stage(
            index=i, name=f"{task} {m}", task=task, modalities=(m,), widths={m: 3},
            train=part(task, m, "train", 4), valid=part(task, m, "valid", 2), test=part(task, m, "test", 6),
        )
        for i, (task, m) in enumerate(pairs)
    )  # fmt: skip
    card = Card(title="Made in memory", licence="none", citation="none")
    stream = Stream(
        name="told",
        scenario="tasks",
        stages=stages,
        kinds={"image": "table", "sound": "table"},
        class_names=(),
        card=card,
    )
    return tokenised(stream, Tokeniser.load(tiny_lm))


@pytest.fixture
def teller(tiny_lm):
    """Return a function that makes a method over the tiny host, grown by some stages."""

    def make(stages=()):
        settings = LanguageModel.Settings(host={"name": "checkpoint", "path": str(tiny_lm)}, most=4)
        model = LanguageModel(settings)
        for stage in stages:
            model.grow(stage)
        return Finetune(model)

    return make
