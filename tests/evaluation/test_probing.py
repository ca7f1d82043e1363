"""Probes of a run: when they measure, lists by stage, and what they remember."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import pytest

from polymnia.config import typed
from polymnia.errors import SettingsError
from polymnia.evaluation.evaluator import EvaluationSettings, Evaluator
from polymnia.evaluation.probes.base import PROBES, Probe
from polymnia.evaluation.probing import Probing
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier


class Counts(Probe):
    """Counts how often it was asked."""

    each = True
    state = ("asked",)

    def __init__(self):
        self.asked = 0

    def measure(self, method, stream, stage):
        self.asked += 1
        figures = {"asked": float(self.asked), "names": [stage.name], "none": float("nan")}
        return figures | ({"later": 1.0} if stage.index else {})

    def record(self):
        return {"asked": self.asked}


class Last(Probe):
    """Says which stage it was asked after."""

    def measure(self, method, stream, stage):
        return {"index": float(stage.index)}


class Set(Probe):
    """Says how it was set."""

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        much: int = 2
        little: int = 1

    def __init__(self, settings):
        self.settings = settings

    def measure(self, method, stream, stage):
        return {"much": float(self.settings.much)}


@pytest.fixture(autouse=True)
def registered(monkeypatch) -> Iterator[None]:
    PROBES.names()  # so that all the others are there too
    monkeypatch.setitem(PROBES._parts, "counts", Counts)
    monkeypatch.setitem(PROBES._parts, "last", Last)
    monkeypatch.setitem(PROBES._parts, "set", Set)
    for kind, name in ((Counts, "counts"), (Last, "last"), (Set, "set")):
        monkeypatch.setattr(kind, "name", name, raising=False)
    yield


@pytest.fixture
def method(digits):
    made = Finetune(Classifier())
    made.model.grow(digits[0])
    return made


def test_figures_are_those_of_the_last_stage_and_lists_over_all(digits, method):
    probing = Probing(("counts", "last"))
    probing.after(method, digits, digits[0])
    assert probing.figures() == {"counts": {"asked": 1.0, "asked by stage": [1.0], "names":
                                            [digits[0].name], "none": None}}  # fmt: skip
    for stage in digits.stages[1:]:
        probing.after(method, digits, stage)
    figures = probing.figures()
    assert figures["counts"]["asked by stage"] == [1.0, 2.0, 3.0, 4.0, 5.0] and figures["counts"]["asked"] == 5.0
    assert figures["counts"]["later by stage"] == [None, 1.0, 1.0, 1.0, 1.0]
    assert figures["counts"]["names"] == [digits[4].name] and "names by stage" not in figures["counts"]
    assert figures["last"] == {"index": 4.0}
    assert probing.records() == {"counts": {"asked": 5}}


def test_a_resumed_run_goes_on_where_its_probes_were(digits, method):
    whole, first = (Evaluator(method, digits, EvaluationSettings(probes=("counts",))) for _ in range(2))
    for stage in digits.stages[:2]:
        whole.after(stage)
    first.after(digits[0])
    again = Evaluator(method, digits, EvaluationSettings(probes=("counts",)))
    again.load_state_dict(first.state_dict())
    again.after(digits[1])
    assert again.figures()["probes"] == whole.figures()["probes"]


def test_figures_of_a_state_from_before_probes_had_one_are_kept(digits, method):
    evaluator = Evaluator(method, digits, EvaluationSettings(probes=("last",)))
    old = {**evaluator.state_dict(), "probes": {"last": {"index": 4.0}}}
    del old["probing"]
    evaluator.load_state_dict(old)
    assert evaluator.probing.figures() == {"last": {"index": 4.0}}


def test_a_probe_may_have_settings(digits, method):
    wanted = typed(EvaluationSettings, {"probes": ["last", {"name": "set", "much": "3"}, {"name": "counts"}]})
    assert wanted.probes == ("last", {"name": "set", "much": 3, "little": 1}, "counts")
    assert EvaluationSettings(probes=("set",)).probes == ({"name": "set", "much": 2, "little": 1},)
    assert typed(EvaluationSettings, json.loads(json.dumps(asdict(wanted)))) == wanted  # as a run folder holds them
    probing = Probing(wanted.probes)
    probing.after(method, digits, digits[4])
    assert probing.figures()["set"] == {"much": 3.0}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"name": "set", "mutch": 3}], "evaluation.probes.set.mutch: no such setting of 'set'. Did you mean 'much'"),
        ([{"name": "last", "much": 3}], "evaluation.probes.last.much: no such setting of 'last'"),
        (["lst"], "no such probe: 'lst'. Did you mean 'last'"),
        ([{"name": "lst"}], "no such probe: 'lst'. Did you mean 'last'"),
        (["last", {"name": "last"}], "evaluation.probes: 'last' is given twice"),
    ],
)
def test_what_is_wrong_with_a_probes_settings_is_told(given, said):
    with pytest.raises(SettingsError, match=re.escape(said)):
        typed(EvaluationSettings, {"probes": given}, where="evaluation", owner="evaluation")
