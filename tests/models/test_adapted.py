"""The adapted family: it starts as the classifier over whole encoders, takes every part, and resumes anywhere."""

import json

import pytest
import torch

from polymnia.encoders.encoding import encode_stream
from polymnia.errors import SettingsError, StateError
from polymnia.evaluation.scores import repeatable
from polymnia.models.adapted import Adapted
from polymnia.models.multimodal_encoder import cuts
from polymnia.training.build import build_encoders, build_layers, build_learner, build_stream
from polymnia.training.run import Run, resume
from polymnia.training.settings import run_settings

STREAM = {"name": "patterns", "rule": "pairs", "classes": 6, "train_samples": 6, "test_samples": 3, "stages": 3}
ENCODERS = {
    "audio": {"name": "random-transformer", "width": 16, "layers": 2, "seed": 1},
    "video": {"name": "random-transformer", "width": 24, "layers": 3, "seed": 2},
}
KINDS = {"audio": "table", "video": "table"}
QUICK = {"epochs": 2, "batch_size": 8, "accelerator": "cpu"}


def settings(method="cross-modality-adapters", **model):
    return run_settings({"stream": STREAM, "encoders": ENCODERS, "model": {"name": "adapted", "width": 16, **model},
                         "method": method, "trainer": QUICK, "seed": 1})  # fmt: skip


def encoded(given):
    stream = build_stream(given.stream, seed=given.seed)
    encoders, _ = build_layers(given, stream.kinds)
    return encode_stream(stream, encoders, pool=False)


def test_it_starts_as_the_classifier_over_whole_encoders():
    adapted, plain = settings("finetune"), run_settings({"stream": STREAM, "encoders": ENCODERS, "seed": 1})
    raw = build_stream(adapted.stream, seed=1)
    whole = encode_stream(raw, build_encoders(ENCODERS, raw.kinds), pool=False)
    over_layers, over_tokens = (
        build_learner(given, raw.kinds).model for given in (adapted, run_settings({"model": {"width": 16}, "seed": 1}))
    )
    assert plain.model == {"name": "classifier"}
    lower = encoded(adapted)
    over_layers.grow(lower[0])
    over_tokens.grow(whole[0])
    over_tokens.load_state_dict({k: v for k, v in over_layers.state_dict().items() if not k.startswith("encoder.")})
    a, b = (m.predict(s[0].test.batch(torch.arange(4))) for m, s in ((over_layers, lower), (over_tokens, whole)))
    torch.testing.assert_close(a.logits, b.logits, rtol=1e-4, atol=1e-5)
    assert [sorted(block) for block in a.blocks] == [["audio", "video"]] * 2


def test_only_what_lies_above_the_cut_runs_at_every_step():
    given = settings("finetune", last=1)
    encoders, trunks = build_layers(given, KINDS)
    assert {m: (trunk.depth, trunk.ahead) for m, trunk in trunks.items()} == {"audio": (1, 1), "video": (2, 2)}
    assert encoders["audio"].fingerprint != build_encoders(ENCODERS, {})["audio"].fingerprint


@pytest.mark.parametrize("last", [None, 1])
def test_what_is_computed_ahead_changes_no_output(last):
    ahead = settings("finetune", last=last, adapter="cross-experts")
    stream, learner = encoded(ahead), build_learner(ahead, KINDS)
    raw = build_stream(ahead.stream, seed=1)
    slow = learner.model.blank()
    at = cuts({"audio": 2, "video": 3}, last)
    parts = {m: e.cut(at[m]) for m, e in build_encoders(ENCODERS, KINDS).items()}
    slow.attach({m: trunk for m, (_, trunk) in parts.items()})
    plain = encode_stream(raw, {m: lower for m, (lower, _) in parts.items()}, pool=False)
    learner.model.grow(stream[0])
    slow.grow(plain[0])
    for p, other in zip(learner.model.parameters(), slow.parameters(), strict=True):
        torch.nn.init.normal_(p, std=0.2)
        other.data.copy_(p.data)
    rows = torch.arange(4)
    a, b = learner.model.predict(stream[0].test.batch(rows)), slow.predict(plain[0].test.batch(rows))
    torch.testing.assert_close(a.logits, b.logits, rtol=1e-4, atol=1e-5)
    for mine, other in zip(
        learner.model.entering(stream[0].test.batch(rows)), slow.entering(plain[0].test.batch(rows)), strict=True
    ):
        torch.testing.assert_close(mine.values["video"], other.values["video"], rtol=1e-4, atol=1e-5)


def test_views_are_given_where_they_are_asked_for():
    given = settings("finetune", views=True)
    stream, learner = encoded(given), build_learner(given, KINDS)
    learner.model.grow(stream[0])
    views = learner.model.predict(stream[0].test.batch(torch.arange(2))).views
    assert {m: (own.shape, joint.shape) for m, (own, joint) in views.items()} == {
        m: (torch.Size([2, 16]),) * 2 for m in ("audio", "video")
    }
    assert "views" in learner.model.provides and "views" not in Adapted().provides


def test_a_method_brings_the_parts_of_its_system_and_a_user_decides():
    learner = build_learner(settings(), KINDS)
    assert learner.model.settings.adapter["name"] == "cross-experts" and learner.model.settings.views
    learner = build_learner(settings(adapter={"name": "cross-experts", "experts": 3}), KINDS)
    assert learner.model.settings.adapter["experts"] == 3
    assert build_learner(settings("replay"), KINDS).model.settings.adapter["name"] == "bottleneck"


@pytest.mark.parametrize("method", ["cross-modality-adapters", "moe-adapters", "l2p", "coda-prompt", "replay", "ewc"])
def test_a_run_and_its_resumption_are_the_same(tmp_path, method):
    given = settings(method)
    whole = Run(given, tmp_path / "whole").go()
    stopped = Run(given, tmp_path / "stopped")
    steps = iter(range(1000))

    class Stop(Exception):
        pass

    def pause():
        if next(steps) == 6:
            stopped._save()
            raise Stop

    stopped.trainer.pause = pause
    with pytest.raises(Stop):
        stopped.go()
    again = resume(tmp_path / "stopped")
    assert repeatable(again.model_dump()) == repeatable(whole.model_dump())
    assert json.loads((tmp_path / "whole" / "settings.json").read_text())["model"]["adapter"] != {"name": "bottleneck"}


def test_the_layers_must_be_there():
    model = Adapted()
    with pytest.raises(SettingsError, match="was given none for audio, video"):
        model.grow(encoded(settings())[0])


@pytest.mark.parametrize(("wrong", "message"), [
    ({"adapter": "bottle"}, "model.adapter.name: no such adapter: 'bottle'. Did you mean 'bottleneck'"),
    ({"adapter": {"name": "bottleneck", "widht": 3}}, "no such setting of 'bottleneck'"),
    ({"last": 0}, "at least 1 block is needed"),
])  # fmt: skip
def test_wrong_settings_are_named(wrong, message):
    with pytest.raises((SettingsError, StateError), match=message):
        build_learner(settings("finetune", **wrong), KINDS)
