"""Settings in full: the defaults of every part, of what a method brings, and of sources inside sources."""

import json
from dataclasses import asdict, replace

import pytest

from polymnia.experiments.defaults import in_full, of_method
from polymnia.methods.ewc import EWC
from polymnia.training.build import build_learner
from polymnia.training.folder import resolved
from polymnia.training.settings import run_settings


def test_every_part_has_its_defaults():
    full = in_full(run_settings({"stream": {"name": "digits"}, "method": {"name": "ewc", "strength": 3.0}}))
    assert full["method"] == {"name": "ewc", **asdict(EWC.Settings(strength=3.0))}
    assert full["model"]["fusion"] == "mean" and full["stream"]["modalities"] == ["pixels", "projections", "spectrum"]


def test_sources_inside_a_source_have_theirs():
    sources = [{"name": "digits", "modalities": ["pixels"]}, {"name": "patterns", "called": "other"}]
    full = in_full(run_settings({"stream": {"name": "together", "sources": sources}}))
    first, second = full["stream"]["sources"]
    assert first == {"name": "digits", "modalities": ["pixels"]}
    assert second["called"] == "other" and "train_samples" in second


def test_what_a_method_brings_to_the_model_is_there():
    from polymnia.methods.base import METHODS

    def model(method, **given):
        settings = {"stream": {"name": "digits"}, "model": {"name": "shared-space", **given}, "method": method}
        return in_full(run_settings(settings))["model"]

    brought = dict(METHODS.get("one-encoder").parts)
    assert model("one-encoder") == model("finetune", **brought) != model("finetune")


@pytest.mark.parametrize(
    ("model", "method"),
    [
        ({"name": "late-fusion"}, "finetune"),
        ({"name": "adapted"}, "cross-modality-adapters"),
        ({"name": "adapted", "prompts": "dualprompt"}, "finetune"),
        ({"name": "shared-space"}, "comet"),
        ({"name": "language-model", "host": "words", "delta": {"name": "lora", "rank": 2}}, "moincl"),
        ({"name": "unified-model", "host": "sketch"}, {"name": "combined", "of": ["gem", "drawing-distillation"]}),
    ],
)
def test_settings_as_asked_for_and_as_run_are_the_same_in_full(model, method):
    """Else a run that is done would be done again whenever its experiment goes on."""
    asked = run_settings({"stream": {"name": "digits"}, "model": model, "method": method})
    learner = build_learner(asked, {})
    ran = replace(asked, model=resolved(learner.model), method=resolved(learner))
    read_again = run_settings(json.loads(json.dumps(asdict(ran))))
    assert in_full(asked) == in_full(read_again)


def test_methods_that_a_method_is_made_of_are_in_full_too():
    given = {"name": "combined", "of": ["finetune", {"name": "ewc", "strength": 3.0}]}
    first, second = of_method(given)["of"]
    assert first == {"name": "finetune"}
    assert second["strength"] == 3.0 and second["mode"] == "online"
