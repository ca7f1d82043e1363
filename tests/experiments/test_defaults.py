"""Settings in full: the defaults of every part, of what a method brings, and of sources inside sources."""

from dataclasses import asdict

from polymnia.experiments.defaults import in_full, of_method
from polymnia.methods.ewc import EWC
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
    settings = {"stream": {"name": "digits"}, "model": {"name": "shared-space"}, "method": {"name": "one-encoder"}}
    from polymnia.methods.base import METHODS

    brought = dict(METHODS.get("one-encoder").parts)
    assert brought and brought.items() <= in_full(run_settings(settings))["model"].items()


def test_methods_that_a_method_is_made_of_are_in_full_too():
    given = {"name": "combined", "of": ["finetune", {"name": "ewc", "strength": 3.0}]}
    first, second = of_method(given)["of"]
    assert first == {"name": "finetune"}
    assert second["strength"] == 3.0 and second["mode"] == "online"
