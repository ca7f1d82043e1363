from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.methods.fisher import fisher_diagonal, log_likelihood
from polymnia.models.base import Model, Output
from polymnia.models.classifier import Classifier


def by_loop(model, batch):
    """The definition: square each sample's gradient, then take the mean."""
    total = {name: torch.zeros_like(p) for name, p in model.trainable().items()}
    for row in range(len(batch)):
        value = log_likelihood(model.eval()(batch.take(slice(row, row + 1))))
        gradients = torch.autograd.grad(value, list(model.trainable().values()), allow_unused=True)
        for name, gradient in zip(total, gradients, strict=True):
            total[name] += 0.0 if gradient is None else gradient.square()
    return {name: value / len(batch) for name, value in total.items()}


def check(model, batch):
    fisher = fisher_diagonal(model, [batch])
    for name, wanted in by_loop(model, batch).items():
        torch.testing.assert_close(fisher[name], wanted, rtol=1e-4, atol=1e-8)
        assert not fisher[name].requires_grad
    assert any(bool(value.any()) for value in fisher.values())


class Odd(Model):
    """A family that uses its weights in ways that no closed form covers, unless it is noticed."""

    provides = frozenset({"logits", "one row a sample"})

    def __init__(self, way):
        super().__init__()
        torch.manual_seed(0)
        self.way, self.first, self.second, self.name = way, nn.Linear(3, 3), nn.Linear(3, 2), "odd"

    def _grow(self, stage):
        """It has all that it needs."""

    def forward(self, batch):
        x = batch.values["x"][:, 0]
        hidden = self.first(x)
        if self.way == "tied":
            hidden = self.first(hidden.tanh())
        elif self.way == "penalised":
            hidden = hidden + self.first.weight.sum()
        elif self.way == "in place":
            hidden.sigmoid_()
        elif self.way == "own function":
            hidden = _Scaled.apply(hidden, self.first.bias)
        elif self.way == "several rows":
            hidden = self.first(torch.stack([x, 2 * x], 1)).tanh().sum(1)
        elif self.way == "detached":
            hidden = hidden.detach()
        elif self.way == "kwargs":
            hidden = linear(input=x, weight=self.first.weight).tanh()
        return Output(self.second(hidden), batch.targets)


class _Scaled(torch.autograd.Function):
    """x · b, out of sight of whoever watches torch's functions."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, b):
        return x * b

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient):
        x, b = ctx.saved_tensors
        return gradient * b, (gradient * x).sum(0)


WAYS = ["plain", "tied", "penalised", "in place", "own function", "several rows", "detached", "kwargs"]


@pytest.mark.parametrize("way", WAYS)
def test_exact_however_a_weight_is_used(way, tiny_batch):
    check(Odd(way), tiny_batch(0, 1, 1, 0, 1))


def test_exact_for_weights_that_training_leaves_alone(tiny_batch):
    model = Odd("plain")
    model.first.requires_grad_(False)
    assert set(fisher_diagonal(model, [tiny_batch(0, 1)])) == {"second.weight", "second.bias"}
    check(model, tiny_batch(0, 1, 1))


def test_by_hand():
    model = Classifier(Classifier.Settings(width=1, projector="linear"))
    model.grow(Outline(index=0, name="0", modalities=("x",), classes=(0, 1), widths={"x": 1}))
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.projectors["x"].map.weight.fill_(1.0)  # the joint is x, and p is one half for both classes
    batch = Batch({"x": torch.tensor([[[1.0]], [[3.0]]])}, torch.tensor([0, 1]))
    fisher = fisher_diagonal(model, [batch])
    assert fisher["head.bias"].tolist() == [0.25, 0.25]
    assert fisher["head.weight"].flatten().tolist() == [0.25 * (1 + 9) / 2] * 2


def test_the_cut_into_batches_and_the_mode_do_not_matter(tiny_model, tiny_batch):
    model, batch = tiny_model(3), tiny_batch(0, 1, 2, 0, 1, 2, 0)
    model.train()
    whole = fisher_diagonal(model, [batch])
    parts = fisher_diagonal(model, [batch.take(rows) for rows in torch.arange(7).split(2)])
    assert model.training
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name])


def test_dropout_is_off():
    model = Classifier(Classifier.Settings(width=4, dropout=0.9))
    model.grow(Outline(index=0, name="0", modalities=("x",), classes=(0, 1), widths={"x": 3}))
    check(model, Batch({"x": torch.randn(4, 1, 3)}, torch.tensor([0, 1, 1, 0])))


def test_samples_without_a_label_do_not_count(tiny_model, tiny_batch):
    model, batch = tiny_model(), tiny_batch(0, 1, 1)
    with_more = replace(tiny_batch(0, 1, 1, -1, -1))
    with_more.values["x"][:3] = batch.values["x"]
    some, all_of_them = fisher_diagonal(model, [batch]), fisher_diagonal(model, [with_more])
    nothing = fisher_diagonal(model, [tiny_batch(-1, -1)])
    for name in some:
        torch.testing.assert_close(all_of_them[name], some[name])
        assert not nothing[name].any()


def test_drawn_labels_estimate_the_expectation_over_the_models_own_classes(tiny_model, tiny_batch):
    model, batch = tiny_model(3), tiny_batch(0, 1)
    p = model.predict(batch).logits.softmax(1)
    wanted = {name: torch.zeros_like(w) for name, w in model.named_parameters()}
    for row in range(2):
        for target in range(3):
            one = replace(batch.take(slice(row, row + 1)), targets=torch.tensor([target]))
            for name, square in by_loop(model, one).items():
                wanted[name] += p[row, target] * square / 2
    random = torch.Generator().manual_seed(0)
    many = batch.take(torch.arange(2).repeat(5000))
    fisher = fisher_diagonal(model, [many], labels="drawn", generator=random)
    for name in wanted:
        torch.testing.assert_close(fisher[name], wanted[name], rtol=0.1, atol=0.01)


def test_drawn_labels_need_one_row_a_sample(tiny_batch):
    model = Odd("plain")
    model.provides = frozenset({"logits"})
    check(model, tiny_batch(0, 1, 1))  # the labels that are given go by vmap
    with pytest.raises(SettingsError, match="labels='given'"):
        fisher_diagonal(model, [tiny_batch(0, 1)], labels="drawn")
