"""Every file in configs/ names what exists."""

from pathlib import Path

import pytest

from polymnia.config import read
from polymnia.data.scenario import SCENARIOS
from polymnia.data.source import SOURCES
from polymnia.encoders.base import ENCODERS
from polymnia.methods.base import METHODS
from polymnia.training.build import build_method, build_model
from polymnia.training.settings import run_settings

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_names_what_exists(path):
    settings = run_settings(read(path))
    method = METHODS.get(settings.method["name"])
    build_method(settings.method, build_model(settings.model, seed=0, parts=method.parts), seed=0)
    known = {
        *SOURCES.get(settings.stream["name"]).Settings.__dataclass_fields__,
        "name",
        "scenario",
        "missing",
        "valid",
        "test",
    }
    known |= set(SCENARIOS.get(settings.stream["scenario"]).Settings.__dataclass_fields__)
    assert set(settings.stream) <= known
    if isinstance(settings.encoders, dict):
        given = settings.encoders.values()
        assert all((named if isinstance(named, str) else named["name"]) in ENCODERS for named in given)


def test_there_are_some():
    assert "quick" in [path.stem for path in CONFIGS] and len(CONFIGS) >= 5


def test_the_tuned_one_holds_what_was_released():
    from polymnia.methods.moincl_settings import RELEASED

    (path,) = [path for path in CONFIGS if path.stem == "moincl-toy-tuned"]
    assert tuple(read(path)["method"]["per_stage"]) == RELEASED["1"]
