"""The probe of conflict: gradients by hand, sums along a path, and a run that is what it is without the probe."""

import json
import signal

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.data.stage import Outline
from polymnia.errors import Interrupted, SettingsError
from polymnia.evaluation.gradients import layout
from polymnia.evaluation.probes.base import made
from polymnia.evaluation.probes.conflict import Conflict
from polymnia.evaluation.scores import repeatable
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier
from polymnia.training.run import Run, prepare
from polymnia.training.settings import run_settings

PICTURES = {"name": "tiny-dots", "tasks": ["generation"]}


def batches(method, steps=3):
    """Return batches of a stage that asks, four samples each."""
    given = run_settings(
        {
            "stream": {"name": "tiny-dots", "scenario": "tasks", "order": ["answering image"]},
            "encoders": {"image": "efficientnet-lite0"},
            "model": {"name": "unified-model", "host": "tiny"},
        }
    )
    train = prepare(given)[0].train
    return [train.batch(torch.arange(4 * step, 4 * step + 4)) for step in range(steps)]


def by_hand(method, probe):
    """Return L_v and its gradient, all pictures at once."""
    pictures = probe.pictures(method)
    output = method.model.eval()(pictures.batch(torch.arange(len(pictures))))
    loss = cross_entropy(output.logits, output.targets)
    method.model.train()
    return float(loss.detach()), torch.autograd.grad(loss, list(method.model.parameters()))


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_sums_are_those_of_three_steps_by_hand(drawing_method, kind):
    method = drawing_method()
    parameters = list(method.model.parameters())
    probe, optimiser = Conflict(Conflict.Settings(pictures=PICTURES, samples=8)), kind(parameters, lr=0.05)
    method.model.train()
    first_order, updates, cosines, start = 0.0, [], [], by_hand(method, probe)[0]
    for step, batch in enumerate(batches(method)):
        method.clock.stage, method.clock.step = 0, step
        probe.before_step(method, batch)
        assert all(p.grad is None for p in parameters)
        _, drawing = by_hand(method, probe)
        before = [p.detach().clone() for p in parameters]
        sum(method.loss(batch).values()).backward()
        reading = [p.grad.clone() for p in parameters]
        optimiser.step()
        optimiser.zero_grad()
        probe.after_step(method)
        update = [p.detach() - old for p, old in zip(parameters, before, strict=True)]
        flat = [torch.cat([t.flatten() for t in tensors]).double() for tensors in (reading, drawing, update)]
        cosines.append(float(torch.cosine_similarity(flat[0], flat[1], dim=0)))
        first_order += float(flat[2] @ flat[1])
        updates.append(float(flat[2].norm()))
    stage = Outline(index=0, name="one")
    found = probe.measure(method, None, stage)
    close = {"rel": 1e-4, "abs": 1e-7}
    assert found["first order"] == pytest.approx(first_order, **close)
    assert found["actual"] == pytest.approx(by_hand(method, probe)[0] - start, rel=1e-3, abs=1e-6)
    assert found["explained"] == found["first order"] / found["actual"] and found["steps"] == 3
    series = probe.record()["series"]["all"]
    assert series["cosine"] == pytest.approx(cosines, **close) and series["update norm"] == pytest.approx(
        updates, **close
    )
    assert found["cosine"] == pytest.approx(sum(cosines) / 3, **close)
    assert found["negative"] == pytest.approx(sum(cosine < 0 for cosine in cosines) / 3)
    if kind is torch.optim.SGD:  # Δθ is then −lr · g_t
        expected = -0.05 * np.array(series["reading norm"])
        assert series["update cosine"] == pytest.approx([-cosine for cosine in cosines], rel=1e-3, abs=1e-5)
        assert series["update norm"] == pytest.approx((-expected).tolist(), rel=1e-3)


def test_layers_add_up_to_the_whole(drawing_method):
    method = drawing_method()
    held = layout(method.model)
    assert held.layers == ["layer 1", "layer 2"] and held.parts == ["shared"]
    names = [name for name, _ in method.model.named_parameters()]
    ones = [torch.full_like(p, 2.0) for p in held.parameters]
    expected = [sum(p.numel() for name, p in method.model.named_parameters() if f"/{n}/" in name) for n in (0, 1)]
    assert len(names) == len(held.parameters)
    assert held.inner(ones, ones)[:, 2].tolist() == [4.0 * count for count in expected]
    assert not held.inner(ones, ones)[:, :2].any()


RUN = {
    "stream": {"name": "tiny-dots", "scenario": "tasks", "order": ["answering image", "captioning image"]},
    "encoders": {"image": "efficientnet-lite0"},
    "model": {"name": "unified-model", "host": "tiny", "delta": {"name": "lora", "dropout": 0.2}, "most": 4},
    "trainer": {"epochs": 2, "batch_size": 4, "lr": 0.01},
}


def settings(probe=None):
    return run_settings({**RUN, "evaluation": {"probes": [probe] if probe else []}})


def results(folder):
    found = repeatable(json.loads((folder / "scores.json").read_text()))
    return {name: value for name, value in found.items() if name not in ("config", "probes", "flops")}


def test_a_run_is_what_it_is_without_and_stopped_it_goes_on(dots, tmp_path):
    probe = {"name": "conflict", "pictures": PICTURES, "samples": 4, "every": 2}
    stream = prepare(settings())
    Run(settings(), tmp_path / "plain", stream=stream).go()
    scores = Run(settings(probe), tmp_path / "watched", stream=stream).go()
    stopped = Run(settings(probe), tmp_path / "stopped", stream=stream)
    left = [3]

    def stop(pause=stopped.trainer.pause):
        left[0] -= 1
        if not left[0]:
            stopped._ask_to_stop(signal.SIGINT, None)
        pause()

    stopped.trainer.pause = stop
    with pytest.raises(Interrupted):
        stopped.go()
    Run(settings(probe), tmp_path / "stopped", stream=stream).go()
    assert results(tmp_path / "plain") == results(tmp_path / "watched") == results(tmp_path / "stopped")
    for stage in scores.stages:
        kept, again = (
            json.loads((tmp_path / run / "stages" / stage / "conflict.json").read_text())
            for run in ("watched", "stopped")
        )
        assert kept == again and kept["steps"] == [0, 2, 4] and len(kept["layers"]["layer 2"]["all"]["cosine"]) == 3
    found = scores.probes["conflict"]
    assert found["path actual"] == pytest.approx(sum(found["actual by stage"]))
    assert found["path first order"] == pytest.approx(sum(found["first order by stage"]))
    assert found["path explained"] == found["path first order"] / found["path actual"]
    assert found["path cosine"] == pytest.approx(sum(found["cosine by stage"]) / 2)  # as many steps in both stages
    assert found["path update rises"] == pytest.approx(sum(found["update rises by stage"]) / 2)


def test_what_is_missing_is_said():
    with pytest.raises(SettingsError, match=r"evaluation\.probes\.pictures is missing"):
        made("conflict")
    with pytest.raises(SettingsError, match=r"conflict\.every: 0 is given"):
        made({"name": "conflict", "pictures": "dots", "every": 0})


def test_a_family_that_does_not_draw_is_left_alone():
    model, probe = Classifier(), Conflict(Conflict.Settings(pictures=PICTURES))
    one = Outline(index=0, name="one", modalities=("x",), classes=(0, 1), widths={"x": 2})
    model.grow(one)
    method = Finetune(model)
    probe.before_step(method, None)
    probe.after_step(method)
    assert probe.measure(method, None, one) == {} and probe.record() is None


def test_what_texts_alone_use_has_no_conflict(drawing_method):
    method = drawing_method(delta={"name": "decoupled", "experts": 2, "rank": 2, "dropout": 0.1})
    probe = Conflict(Conflict.Settings(pictures=PICTURES, samples=4))
    optimiser = torch.optim.SGD(list(method.model.parameters()), lr=0.05)
    method.model.train()
    for step, batch in enumerate(batches(method)):
        method.clock.stage, method.clock.step = 0, step
        probe.before_step(method, batch)
        sum(method.loss(batch).values()).backward()
        optimiser.step()
        optimiser.zero_grad()
        probe.after_step(method)
    found = probe.measure(method, None, Outline(index=0, name="one"))
    assert found["drawing norm text"] == 0.0 and found["first order text"] == 0.0 and found["cosine text"] is None
    assert found["reading norm text"] > 0 and found["drawing norm picture"] > 0
    assert found["first order"] == pytest.approx(found["first order picture"]) != 0.0
    assert "cosine shared" not in found
    json.dumps(probe.record(), allow_nan=False)
