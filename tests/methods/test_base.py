import re

import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.errors import SettingsError
from polymnia.methods.base import METHODS, Method, tree_bytes
from polymnia.models.base import Model, Output
from polymnia.state import join, split


class Keeps(Method):
    """A method that keeps one of everything."""

    name = "keeps"
    state = ("number", "word", "nothing", "tensor", "nested", "teacher")
    number, word, nothing = 3, "three", None

    def __init__(self, model):
        super().__init__(model)
        self.tensor, self.nested, self.teacher = torch.arange(3), {"a": [torch.ones(2), {"b": 1.5}]}, None


def test_state_goes_through_disk_format_and_back(tiny_model, tiny_batch):
    one, other = Keeps(tiny_model()), Keeps(tiny_model())
    one.number, one.word, one.tensor = 4, "four", torch.arange(5)
    one.teacher = one.model.frozen_copy()
    other.load_state_dict(join(*split(one.state_dict())))
    assert (other.number, other.word, other.nothing) == (4, "four", None)
    assert torch.equal(other.tensor, one.tensor)
    assert other.nested["a"][1] == {"b": 1.5}
    batch = tiny_batch(0, 1)
    assert torch.equal(other.teacher.predict(batch).logits, one.teacher.predict(batch).logits)
    assert not other.teacher.trainable()


def test_bytes_are_those_of_all_tensors(tiny_model):
    method = Keeps(tiny_model())
    assert method.memory_bytes() == 3 * 8 + 2 * 4
    method.teacher = method.model.frozen_copy()
    assert method.memory_bytes() == 3 * 8 + 2 * 4 + sum(4 * p.numel() for p in method.model.parameters())
    assert tree_bytes({"a": [torch.zeros(2, dtype=torch.float64), 3], "b": "c"}) == 16


def test_task_loss_is_cross_entropy_over_rows_that_count_plus_the_familys_own(tiny_model):
    method = Method(tiny_model())
    logits = torch.tensor([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]])
    output = Output(logits, torch.tensor([0, -1, 1]))
    plain = cross_entropy(logits[[0, 2]], torch.tensor([0, 1]))
    torch.testing.assert_close(method.task_loss(output), plain)
    output.losses = {"balance": torch.tensor(0.25), "other": torch.tensor(0.5)}
    torch.testing.assert_close(method.task_loss(output), plain + 0.75)


def test_batches_hold_all_samples_in_order(digits, tiny_model):
    method, samples = Method(tiny_model()), digits[0].test
    batches = list(method.batches(samples, 30))
    assert [len(batch) for batch in batches[:-1]] == [30] * (len(batches) - 1)
    assert torch.equal(torch.cat([batch.targets for batch in batches]), samples.targets)


class Bare(Model):
    """A family that gives nothing a method may ask for."""

    name = "bare"

    def _grow(self, stage):
        """It has all that it needs."""

    def forward(self, batch):
        return Output(torch.zeros(len(batch), 0), batch.targets)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS.get(name).needs])
def test_says_before_training_what_the_model_lacks(name):
    with pytest.raises(SettingsError, match=rf"method '{re.escape(name)}' needs .* 'bare' has not"):
        METHODS.get(name)(Bare())
