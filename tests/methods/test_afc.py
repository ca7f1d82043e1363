import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.losses.pooled import weighted
from polymnia.methods.afc import AFC, in_means, squared_gradients


@pytest.fixture
def second_stage(adapted, token_batch, token_stage, two_classes_more, moved):
    """Return a function that makes a method in its second stage, whose model has moved on from its teacher."""

    def make(**settings) -> AFC:
        method = AFC(adapted(adapter="bottleneck"), AFC.Settings(memory=0, **settings))
        moved(method.model)  # an adapter is zero at start
        method.model.eval()
        method.after_stage(token_stage(token_batch(0, 1)))
        method.model.grow(two_classes_more(1))
        moved(method.model)
        return method

    return make


def test_squared_gradients_are_each_samples_own(tiny_model, tiny_batch):
    model, batch = tiny_model(), tiny_batch(0, 1, 1, -1)
    wanted = torch.zeros(4)
    for row in range(3):
        part = batch.take(slice(row, row + 1))
        output = model(part)
        (gradient,) = torch.autograd.grad(cross_entropy(output.logits, part.targets), output.representations["x"])
        wanted += gradient[0].square()
    torch.testing.assert_close(squared_gradients(model, batch)[0]["x"], wanted)
    assert squared_gradients(model, batch.take(slice(3, None))) == []


def test_by_hand_in_a_linear_head(tiny_model, tiny_batch, tiny_stage):
    """Of logits W z + b the gradient of a sample's loss is Wᵀ (p − y)."""
    method, batch = AFC(tiny_model(), AFC.Settings(memory=0)), tiny_batch(0, 1, 1)
    method.after_stage(tiny_stage(batch))
    output = method.model(batch)
    away = output.logits.softmax(1) - torch.eye(2)[batch.targets]
    squares = (away @ method.model.head.weight).square().sum(0).detach()
    torch.testing.assert_close(method.importance[0]["x"], squares / squares.mean())
    assert method.importance[0]["x"].mean().item() == pytest.approx(1.0)


def test_the_distillation_by_its_equation(second_stage, token_batch):
    method, batch = second_stage(strength=2.0), token_batch(2, 3, 2, lacking=(0,))
    terms, student, teacher, has = method.loss(batch), method.model(batch), method.teacher(batch), batch.has("b")
    parts = []
    for at, importance in enumerate(method.importance):
        parts.append(weighted(student.blocks[at]["a"], teacher.blocks[at]["a"], importance["a"]).mean())
        new, old = (output.blocks[at]["b"][has] for output in (student, teacher))
        parts.append(weighted(new, old, importance["b"]).mean())
    assert len(parts) == 4
    torch.testing.assert_close(terms["afc"], 2.0 * 2**0.5 * torch.stack(parts).mean())


def test_a_modality_that_is_not_met_keeps_its_importance(second_stage, token_batch, token_stage):
    method = second_stage()
    before = [dict(block) for block in method.importance]
    method.after_stage(token_stage(token_batch(2, 3, lacking=(0, 1)), 1))
    for old, new in zip(before, method.importance, strict=True):
        torch.testing.assert_close(new["b"], old["b"])
        assert not torch.allclose(new["a"], old["a"])


def test_the_memory_counts_too(tiny_model, tiny_batch, tiny_stage):
    method, old, new = AFC(tiny_model(), AFC.Settings(memory=4)), tiny_batch(0, 0, seed=1), tiny_batch(1, 1, seed=2)
    method.memory.add(old)
    method.after_stage(tiny_stage(new))
    model = method.model
    held = method.memory.all()
    assert len(held) == 4
    squares = squared_gradients(model, new)[0]["x"] + squared_gradients(model, held)[0]["x"]
    torch.testing.assert_close(method.importance[0]["x"], in_means(squares))


def test_measuring_leaves_no_gradient_and_the_mode_as_it_was(tiny_model, tiny_batch, tiny_stage):
    method = AFC(tiny_model(), AFC.Settings(memory=0))
    method.model.train()
    method.after_stage(tiny_stage(tiny_batch(0, 1)))
    assert method.model.training
    assert all(p.grad is None for p in method.model.parameters())
    assert not method.importance[0]["x"].requires_grad


def test_it_keeps_the_first_stage_where_fine_tuning_loses_it(digits, learned, fine_tuned):
    _, kept = learned("afc", digits, memory=100)
    assert kept[0] > 0.6 + fine_tuned[0]
    assert kept[-1] > 0.7
