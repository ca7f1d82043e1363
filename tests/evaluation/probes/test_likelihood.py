"""The probe of likelihood: by hand, over answers and over pictures that are drawn, and what it makes of stages."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Outline
from polymnia.data.tokens import Tokens
from polymnia.evaluation.probes.likelihood import Likelihood, nats, rows_at_once
from polymnia.hosts.texts import padded
from polymnia.hosts.unified import as_tokens
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier
from polymnia.models.unified_model import UnifiedModel

ONE = Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": 2})


@pytest.fixture
def method(tiny_unified):
    model = UnifiedModel(UnifiedModel.Settings(host="words"))
    model.host = tiny_unified
    model.grow(ONE)
    return Finetune(model)


def samples(method, *, draws, rows=5):
    """Return samples of four codes, each asked the same; half of them are drawn, or none."""
    tokeniser = method.model.loaded.tokeniser
    codes = torch.arange(4 * rows).reshape(rows, 4) % 8
    answers = [tokeniser.answer("red") if not draws or row % 2 else [] for row in range(rows)]
    return Samples(
        np.array([str(row) for row in range(rows)]),
        {"image": Tokens.dense(as_tokens(codes))},
        {"image": torch.ones(rows, dtype=torch.bool)},
        torch.full((rows,), -1),
        sequences={
            "prompt": padded([tokeniser.prompt("what colour is it ?")] * rows),
            "answer": padded(answers),
            "draws": torch.tensor([[int(not answer)] for answer in answers]),
        },
    )


@pytest.mark.parametrize("draws", [False, True])
def test_it_is_the_mean_of_the_right_tokens_logarithms(method, draws):
    given = samples(method, draws=draws)
    output = method.predict(given.batch(torch.arange(5)))
    expected = output.logits.softmax(-1)[torch.arange(len(output.targets)), output.targets].log().mean()
    assert len(output.targets) == (2 * 2 + 3 * 4 if draws else 5 * 2)
    assert nats(method, given) == pytest.approx(float(expected), rel=1e-5)
    assert nats(method, given.subset(torch.arange(0))) is None


def test_a_model_that_gets_worse_forgets(method):
    one = SimpleNamespace(**vars(ONE), test=samples(method, draws=False))
    two = SimpleNamespace(
        **vars(replace(ONE, index=1, name="two", task="generation")), test=samples(method, draws=True)
    )
    stream, probe = SimpleNamespace(stages=(one, two)), Likelihood()
    before = probe.measure(method, stream, one)["nats one"]
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    found = probe.measure(method, stream, two)
    assert found["nats one"] < before < 0
    assert found["forgetting"] == pytest.approx(before - found["nats one"])
    assert found["change on same modality"] == pytest.approx(found["nats one"] - before)
    assert found["change on absent modality"] is None


def test_a_family_of_classes_has_none():
    model = Classifier()
    model.grow(Outline(index=0, name="one", modalities=("x",), classes=(0, 1), widths={"x": 2}))
    assert Likelihood().measure(Finetune(model), None, ONE) == {}


def test_few_go_at_once_where_a_picture_has_many_logits(method):
    def host(length, words, codes):
        return SimpleNamespace(unified=SimpleNamespace(length=length, vocabulary=words, codes=codes))

    assert rows_at_once(method.model) == rows_at_once(SimpleNamespace()) == 64
    assert rows_at_once(host(1024, 65_536, 8192)) == 3 and rows_at_once(host(4096, 200_000, 8192)) == 1
