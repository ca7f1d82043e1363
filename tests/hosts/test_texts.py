"""A stream's texts as ids: once, in many wordings for training, in one for tests."""

import numpy as np
import pytest
import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Card, Stage, Stream
from polymnia.data.wording import asked, asked_in_training
from polymnia.hosts.texts import padded, tokenised
from polymnia.hosts.tokeniser import Tokeniser


class Counting(Tokeniser):
    """A tokeniser that remembers what it was asked."""

    def __init__(self, held):
        super().__init__(held)
        self.asked = []

    def ids(self, text):
        self.asked.append(text)
        return super().ids(text)


@pytest.fixture
def tokeniser(tiny_lm):
    return Counting(Tokeniser.load(tiny_lm).held)


def samples(names, *, present=None):
    n = len(names)
    columns = {"task": ["captioning"] * n, "prompt": [asked("captioning", "image")] * n,
               "answer": ["a red star", "dot"] * (n // 2)}  # fmt: skip
    return Samples(
        np.array(names, dtype=np.str_),
        {"image": torch.zeros(n, 1, 3)},
        {"image": torch.ones(n, dtype=torch.bool)},
        torch.full((n,), -1),
        {name: np.array(values, dtype=np.str_) for name, values in columns.items()},
    )


@pytest.fixture
def stream():
    def split(letter, n):
        return samples([f"{letter}{i}" for i in range(n)])

    stages = [
        Stage(index=at, name=str(at), modalities=("image",), classes=(), task="captioning", train=split(f"t{at}", 20),
              valid=split(f"v{at}", 2), test=split(f"e{at}", 4))
        for at in range(2)
    ]  # fmt: skip
    card = Card(title="t", licence="l", citation="c")
    return Stream(name="s", scenario="tasks", stages=tuple(stages), kinds={"image": "table"}, class_names=(), card=card)


def test_every_sample_gets_its_ids(stream, tokeniser):
    found = tokenised(stream, tokeniser).stages[0].test
    prompt, answer = found.sequences["prompt"], found.sequences["answer"]
    assert prompt.dtype == answer.dtype == torch.int64
    assert prompt[0].tolist() == tokeniser.prompt("describe the image.")
    assert answer.tolist() == padded([tokeniser.answer("a red star"), tokeniser.answer("dot")] * 2).tolist()
    assert answer[1, -1] == -1


def test_each_text_is_tokenised_once(stream, tokeniser):
    tokenised(stream, tokeniser)
    assert sorted(tokeniser.asked) == sorted(set(tokeniser.asked)) and len(tokeniser.asked) == 3


def test_training_asks_in_many_wordings_and_tests_in_one(stream, tokeniser):
    found = tokenised(stream, tokeniser, templates=True)
    again = tokenised(stream, tokeniser, templates=True)
    other = tokenised(stream, tokeniser, templates=True, seed=1)
    for at, stage in enumerate(found):
        train, test = stage.train.sequences["prompt"], stage.test.sequences["prompt"]
        assert len({tuple(row) for row in train.tolist()}) > 3 and len({tuple(row) for row in test.tolist()}) == 1
        assert torch.equal(train, again.stages[at].train.sequences["prompt"])
        for name, row in zip(stage.train.ids.tolist(), train.tolist(), strict=True):
            text = asked_in_training("captioning", "image", asked("captioning", "image"), seed=0, sample=name)
            assert [i for i in row if i >= 0] == tokeniser.prompt(text)
    first, moved = (stream.stages[0].train.sequences["prompt"] for stream in (found, other))
    assert first.shape != moved.shape or not torch.equal(first, moved)


def test_limits_cut_prompts_before_and_answers_behind(stream, tokeniser):
    found = tokenised(stream, tokeniser, prompt_tokens=1, answer_tokens=2).stages[1].train
    assert found.sequences["prompt"].shape[1] == 2 and found.sequences["answer"].shape[1] == 2
    assert found.sequences["answer"][0].tolist() == [tokeniser.ids("a")[0], tokeniser.end]


def test_stages_know_those_before_them_with_their_ids(stream, tokeniser):
    second = tokenised(stream, tokeniser).stages[1]
    assert "answer" in second.earlier[0].train.sequences


def test_nothing_is_padded_to_nothing():
    assert padded([]).shape == (0, 0) and padded([[], [3]]).tolist() == [[-1], [3]]
