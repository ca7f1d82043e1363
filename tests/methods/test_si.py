import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.methods.si import SI
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer


def task_loss(method, stage):
    with torch.no_grad():
        return float(
            torch.stack([method.task_loss(method.model(batch)) for batch in method.batches(stage.train)]).mean()
        )


def test_the_path_integral_is_the_fall_of_the_loss(tiny_model, tiny_batch, tiny_stage):
    """Equation 3: along a path of small steps, Σ ω is what the loss lost."""
    stage = tiny_stage(tiny_batch(0, 1, 1, 0, 1, 0))
    method = SI(tiny_model())
    found = {}
    method.after_stage = lambda stage: found.update(method.path)
    before = task_loss(method, stage)
    Trainer(method, TrainerSettings(epochs=400, batch_size=6, optimiser="sgd", lr=0.01, count_flops=False)).fit(stage)
    fall = before - task_loss(method, stage)
    assert fall > 0.05
    assert float(sum(path.sum() for path in found.values())) == pytest.approx(fall, rel=0.02)


def step(method, batch, lr=0.1):
    """Do what the trainer does in one step of gradient descent; return the gradients of all terms."""
    terms = method.loss(batch)
    sum(terms.values()).backward()
    method.after_backward()
    gradients = {n: p.grad.clone() for n, p in method.model.named_parameters()}
    with torch.no_grad():
        for p in method.model.parameters():
            p -= lr * p.grad
            p.grad = None
    method.after_step()
    return gradients


def test_importance_and_penalty_by_hand(tiny_model, tiny_batch, tiny_stage):
    method, batch = SI(tiny_model(), SI.Settings(strength=3.0, damping=0.1)), tiny_batch(0, 1, 1)
    stage = tiny_stage(batch)
    method.before_stage(stage)
    start = {n: p.detach().clone() for n, p in method.model.named_parameters()}
    ω = {n: torch.zeros_like(p) for n, p in start.items()}
    for _ in range(3):
        before = {n: p.detach().clone() for n, p in method.model.named_parameters()}
        gradients = step(method, batch)
        for n, p in method.model.named_parameters():
            ω[n] -= gradients[n] * (p.detach() - before[n])
    method.after_stage(stage)
    end = {n: p.detach().clone() for n, p in method.model.named_parameters()}
    for n in ω:
        torch.testing.assert_close(method.importance[n], ω[n].clamp(min=0) / ((end[n] - start[n]) ** 2 + 0.1))
    importance = method.importance

    method.before_stage(tiny_stage(batch, 1))
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(0.2)
    wanted = 3.0 * sum((importance[n] * (p - end[n]) ** 2).sum() for n, p in method.model.named_parameters())
    torch.testing.assert_close(method.loss(batch)["si"], wanted)


def test_the_path_is_of_the_tasks_gradient_alone(tiny_model, tiny_batch, tiny_stage):
    method, batch = SI(tiny_model(), SI.Settings(strength=50.0)), tiny_batch(0, 1, 1)
    method.before_stage(tiny_stage(batch))
    step(method, batch)
    method.after_stage(tiny_stage(batch))
    method.before_stage(tiny_stage(batch, 1))
    step(method, batch)  # away from the anchor, where the penalty pulls
    before = {n: p.clone() for n, p in method.path.items()}
    names, parameters = zip(*method.model.named_parameters(), strict=True)
    old = [p.detach().clone() for p in parameters]
    task = torch.autograd.grad(method.task_loss(method.model(batch)), parameters)
    everything = step(method, batch)
    assert any(not torch.allclose(g, everything[n], atol=1e-4) for n, g in zip(names, task, strict=True))
    for n, p, was, g in zip(names, parameters, old, task, strict=True):
        torch.testing.assert_close(method.path[n] - before[n], -g * (p.detach() - was), rtol=1e-3, atol=1e-6)


def test_rows_and_stages_that_come_later_are_free(tiny_model, tiny_batch, tiny_stage):
    method, batch = SI(tiny_model(2)), tiny_batch(0, 1, 1)
    method.before_stage(tiny_stage(batch))
    step(method, batch)
    method.after_stage(tiny_stage(batch))
    importance = method.importance["head.weight"]
    method.model.grow(Outline(index=1, name="1", modalities=("x",), classes=(2,), widths={"x": 3}))
    method.before_stage(tiny_stage(tiny_batch(2), 1))
    assert torch.equal(method.importance["head.weight"][:2], importance)
    assert not method.importance["head.weight"][2:].any()
    assert torch.equal(method.anchor["head.weight"], method.model.head.weight)


def test_importance_only_grows(tiny_model, tiny_batch, tiny_stage):
    method, last = SI(tiny_model(2)), None
    for index in range(3):
        batch = tiny_batch(0, 1, 1, seed=index)
        method.before_stage(tiny_stage(batch, index))
        step(method, batch)
        method.after_stage(tiny_stage(batch, index))
        if last is not None:
            assert all(bool((method.importance[n] >= last[n]).all()) for n in last)
        last = method.importance


def test_forgets_less_than_fine_tuning(digits, learned, fine_tuned):
    _, scores = learned("si", digits, strength=100.0)
    assert sum(scores[:2]) > sum(fine_tuned[:2]) + 0.3
