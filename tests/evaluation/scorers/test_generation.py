"""The scorer of drawing: by hand, in the matrix, and of an untrained model."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Card, Outline, Stage, Stream
from polymnia.data.tokens import Tokens
from polymnia.evaluation.evaluator import EvaluationSettings, Evaluator
from polymnia.evaluation.scorers.base import named, scorer
from polymnia.evaluation.scores import is_share
from polymnia.hosts.texts import padded
from polymnia.hosts.unified import as_tokens
from polymnia.methods.finetune import Finetune
from polymnia.models.unified_model import UnifiedModel


@pytest.fixture
def method(tiny_unified):
    model = UnifiedModel(UnifiedModel.Settings(host="words", most=3))
    model.host = tiny_unified
    return Finetune(model)


@pytest.fixture
def stream(tiny_unified):
    """A stage of answers and one of pictures that are drawn, of six samples each."""
    tokeniser, stages = tiny_unified.tokeniser, []
    for index, task in enumerate(("answering", "generation")):
        draws = task == "generation"
        columns = {"task": [task] * 6, "prompt": ["draw a dot"] * 6, "answer": ["red"] * 6}
        samples = Samples(
            np.array([f"{task} {row}" for row in range(6)]),
            {"image": Tokens.dense(as_tokens(torch.arange(24).reshape(6, 4) % 8))},
            {"image": torch.ones(6, dtype=torch.bool)},
            torch.full((6,), -1),
            {name: np.array(values) for name, values in columns.items()},
            {
                "prompt": padded([tokeniser.prompt("draw a dot")] * 6),
                "answer": padded([[] if draws else tokeniser.answer("red")] * 6),
                "draws": torch.full((6, 1), int(draws)),
            },
        )
        stages.append(Stage(index=index, name=task, task=task, modalities=("image",), widths={"image": 2},
                            train=samples, valid=samples, test=samples))  # fmt: skip
    card = Card(title="made", licence="none", citation="none")
    return Stream(
        name="made", scenario="tasks", stages=tuple(stages), kinds={"image": "image"}, class_names=(), card=card
    )


def test_it_is_the_geometric_mean_of_the_right_codes_likelihoods(method, stream):
    method.model.grow(stream[1])
    output = method.predict(stream[1].test.batch(torch.arange(6)))
    shares = output.logits.softmax(-1)[torch.arange(24), output.targets]
    score = scorer("generation").score(method, stream[1].test)
    assert score == pytest.approx(float(shares.log().mean().exp()), rel=1e-5)
    assert log(score) == pytest.approx(-log(8), abs=0.3)  # eight codes, drawn blindly
    assert scorer("generation").score(method, stream[1].test.subset(torch.arange(0))) is None


def test_it_stands_in_the_matrix_beside_answers_also_before_anything_is_learned(method, stream):
    method.model.grow(stream[0])
    evaluator = Evaluator(method, stream, EvaluationSettings(ahead=True, probes=("intra-modal", "likelihood")))
    evaluator.before()
    evaluator.after(stream[0])
    with torch.no_grad():
        for p in method.model.deltas.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    evaluator.after(stream[1])
    found = evaluator.figures()
    assert found["metric"] == "VQA accuracy; likelihood per code" and is_share(found["metric"])
    assert found["before"] == found["matrix"][0] and found["matrix"][1][1] != found["matrix"][0][1]
    assert all(0 <= score <= 1 for row in found["matrix"] for score in row)
    assert found["probes"]["intra-modal"]["learned"] == found["matrix"][0][0]
    assert found["per_subset"] == {}
    assert named([Outline(index=0, name="a", task="generation")]) == "likelihood per code"


def test_it_cannot_be_changed_by_how_many_go_at_once(method, stream):
    method.model.grow(stream[1])
    twice = replace(stream[1].test, ids=np.array([f"other {i}" for i in range(6)]))
    many = Samples.concat([stream[1].test, twice])
    one = scorer("generation").score(method, stream[1].test, batch_size=1)
    assert scorer("generation").score(method, many, batch_size=512) == pytest.approx(one)
