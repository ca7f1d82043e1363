"""Single steps: damage of the first order, of none, and a model that is left as it was."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.errors import SettingsError
from polymnia.evaluation.exact import in_double
from polymnia.evaluation.gradients import fixed_pictures, layout
from polymnia.evaluation.probes.base import made
from polymnia.evaluation.single_steps import single_steps, slope
from polymnia.training.run import prepare
from polymnia.training.settings import run_settings

PICTURES = {"name": "tiny-dots", "tasks": ["generation"]}
RATES = (1e-4, 1e-3, 1e-2, 1e-1)
DECOUPLED = {"name": "decoupled", "experts": 2, "rank": 2, "dropout": 0.0}


@pytest.fixture
def stream(dots):
    return prepare(run_settings({
        "stream": {"name": "tiny-dots", "scenario": "tasks", "order": ["answering image"]},
        "encoders": {"image": "efficientnet-lite0"}, "model": {"name": "unified-model", "host": "tiny"},
    }))  # fmt: skip


def by_block(method, stream):
    """Return the steps of each block and route."""
    batch = stream[0].train.batch(torch.arange(8))
    steps = single_steps(method, batch, fixed_pictures(method.model, PICTURES, 8), rates=RATES)
    return {
        (block, route): [step for step in steps if (step.block, step.route) == (block, route)]
        for block, route in {(step.block, step.route) for step in steps}
    }


@pytest.mark.parametrize("delta", ["lora", DECOUPLED], ids=["coupled", "decoupled"])
def test_damage_is_of_the_first_order_unless_nothing_is_shared(drawing_method, stream, delta):
    found = by_block(drawing_method(delta=delta), stream)
    for (block, route), steps in found.items():
        if (block, route) == ("text", "output"):  # not O(η²), but nothing: what is not used cannot matter
            assert [step.change for step in steps] == [0.0] * 4 and steps[0].first_order == 0.0
            assert slope(steps) is None
            continue
        assert slope(steps[:3]) == pytest.approx(1.0, abs=0.05), (block, route)  # at 0.1 this model bends
        assert steps[0].change == pytest.approx(steps[0].first_order, rel=1e-2)
    assert {block for block, _ in found} == ({"all", "shared"} if delta == "lora" else {"all", "text", "picture"})


def test_what_remains_is_half_the_curvature(drawing_method, stream):
    steps = by_block(drawing_method(), stream)["all", "output"]
    rest = [
        (step.change - step.first_order) / step.rate**2 for step in steps[:3]
    ]  # ½ gᵀHg + O(η); float32 is too coarse
    assert rest[0] == pytest.approx(rest[1], rel=0.05) and rest[1] == pytest.approx(rest[2], rel=0.5)


def test_a_model_is_left_as_it_was(drawing_method, stream, dots):
    method = drawing_method(delta=DECOUPLED)
    batch, settings = stream[0].train.batch(torch.arange(8)), method.model.settings
    before = method.model.predict(batch).logits
    held = {name: p.detach().clone() for name, p in method.model.named_parameters()}
    random = torch.get_rng_state()
    by_block(method, stream)
    assert torch.equal(method.model.predict(batch).logits, before) and method.model.settings is settings
    assert all(torch.equal(p, held[name]) and p.grad is None for name, p in method.model.named_parameters())
    assert all(p.dtype == torch.float32 for p in dots.network.parameters()) and torch.equal(
        random, torch.get_rng_state()
    )


def test_in_double_nothing_is_rounded_to_single(drawing_method, stream):
    method = drawing_method()
    batch = stream[0].train.batch(torch.arange(8))
    single = method.model.predict(batch).logits
    with in_double(method.model):
        output = method.model(batch)
        loss = cross_entropy(output.logits, output.targets)
        p = layout(method.model).parameters[0]
        (gradient,) = torch.autograd.grad(loss, p)
        tiny = torch.zeros_like(p)
        tiny[0, 0] = 1e-9
        p.data = p.data + tiny
        moved = method.model(batch)
        change = cross_entropy(moved.logits, moved.targets) - loss
    assert output.logits.dtype == torch.float64 and output.logits.float().allclose(single, atol=1e-5)
    assert float(change.detach()) == pytest.approx(1e-9 * float(gradient[0, 0]), rel=1e-3)


def test_the_probe_measures_the_newest_stage_that_is_read(drawing_method, stream):
    method = drawing_method(delta=DECOUPLED)
    found = made({"name": "slopes", "pictures": PICTURES, "samples": 8}).measure(method, stream, stream[0])
    assert found["slope all token"] == pytest.approx(1.0, abs=0.2)
    assert found["change text output"] == 0.0 and found["slope text output"] is None
    assert len(found["steps"]) == 2 * 3 * 4
    with pytest.raises(SettingsError, match=r"slopes\.rates: \[0\.1\] is given"):
        made({"name": "slopes", "pictures": PICTURES, "rates": [0.1]})
