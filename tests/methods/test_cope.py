import math

import pytest
import torch
from torch.nn.functional import normalize

from polymnia.data.stage import Outline
from polymnia.methods.cope import AWAY, CoPE, ppp

T = 0.1


def by_definition(features, targets, prototypes):
    """The loss, term by term."""

    def p(c, f, stand_in):
        own = torch.exp(f @ stand_in / T)
        rest = sum(torch.exp(f @ prototypes[k] / T) for k in range(len(prototypes)) if k != c)
        return own / (own + rest)

    total, n = torch.zeros(()), len(targets)
    for i, c in enumerate(targets.tolist()):
        attractors = [prototypes[c], *[features[j].detach() for j in range(n) if j != i and targets[j] == c]]
        total = total + torch.stack([p(c, features[i], a) for a in attractors]).mean().log()
        for j in range(n):
            if targets[j] != c:
                repellors = [prototypes[c], features[i].detach()]
                total = total + (1 - torch.stack([p(c, features[j], r) for r in repellors]).mean()).log()
    return -total / n


def test_the_loss_and_its_gradient_are_those_of_the_definition():
    torch.manual_seed(0)
    prototypes = normalize(torch.randn(4, 3, dtype=torch.float64), dim=1)
    targets = torch.tensor([0, 2, 0, 3, 2, 0])
    raw = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    losses = [f(normalize(raw, dim=1), targets, prototypes) for f in (ppp, by_definition)]
    assert torch.allclose(*losses)
    assert torch.allclose(*[torch.autograd.grad(loss, raw)[0] for loss in losses])


def test_one_sample_of_two_classes_by_hand():
    prototypes = torch.eye(2)
    angle = math.pi / 6
    feature = torch.tensor([[math.cos(angle), math.sin(angle)]])
    odds = (math.cos(angle) - math.sin(angle)) / T
    assert ppp(feature, torch.tensor([0]), prototypes).item() == pytest.approx(math.log1p(math.exp(-odds)), rel=1e-4)


def test_the_only_class_has_nothing_to_learn_and_no_gradient_is_nan():
    raw = torch.randn(3, 2, requires_grad=True)
    loss = ppp(normalize(raw, dim=1), torch.tensor([1, 1, 1]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    loss.backward()
    assert loss.item() == 0.0 and not raw.grad.any()


def test_a_new_prototype_is_its_first_batch_s_mean_and_then_moves_slowly(tiny_model, tiny_batch):
    method, batch = CoPE(tiny_model(2), CoPE.Settings(memory=0, momentum=0.8)), tiny_batch(0, 0, 1)

    def means(of):
        features = normalize(method.model(of).representations["joint"].detach(), dim=1)
        return [features[of.targets == c].mean(0) for c in of.targets.unique()]

    first = [normalize(mean, dim=0) for mean in means(batch)]
    method.loss(batch)
    moved = [normalize(0.8 * p + 0.2 * mean, dim=0) for p, mean in zip(first, means(batch), strict=True)]
    assert torch.allclose(method.prototypes, torch.stack(moved), atol=1e-6)
    only = tiny_batch(1, 1, seed=4)
    method.loss(only)
    again = normalize(0.8 * moved[1] + 0.2 * means(only)[0], dim=0)
    assert torch.allclose(method.prototypes[0], moved[0], atol=1e-6)
    assert torch.allclose(method.prototypes[1], again, atol=1e-6)


def test_the_nearest_prototype_is_predicted_and_a_class_not_met_never(tiny_model, tiny_batch):
    method, batch = CoPE(tiny_model(2)), tiny_batch(0, 1, 1, 0)
    method.loss(batch)
    method.model.grow(Outline(index=1, name="1", modalities=("x",), classes=(2,), widths={"x": 3}))
    output = method.predict(batch)
    features = normalize(method.model(batch).representations["joint"].detach(), dim=1)
    assert torch.allclose(output.logits[:, :2], features @ method.prototypes.T / T, atol=1e-5)
    assert (output.logits[:, 2] == AWAY).all()
    assert not output.logits.requires_grad and method.model.training


def test_rows_without_a_target_are_left_out(tiny_model, tiny_batch):
    batch = tiny_batch(0, 1)
    alone, beside = CoPE(tiny_model(2)).loss(batch), CoPE(tiny_model(2)).loss(batch.join(tiny_batch(-1, seed=5)))
    assert torch.allclose(alone["task"], beside["task"])
    assert CoPE(tiny_model(2)).loss(tiny_batch(-1)) == {}


def test_the_memory_is_balanced(digits, learned):
    method, _ = learned("cope", digits, memory=30, stages=2, epochs=1)
    counts = method.memory.all().targets.bincount()
    assert counts.sum() == 30 and counts.max() - counts.min() <= 1


def test_it_keeps_the_first_stage_where_fine_tuning_loses_it(digits, learned, fine_tuned):
    _, kept = learned("cope", digits, memory=100)
    assert kept[0] > 0.8 + fine_tuned[0]
    assert kept[-1] > 0.9
