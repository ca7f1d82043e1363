from types import SimpleNamespace

from polymnia.evaluation.probes.pseudo_targets import PseudoTargets

RECORD = {"stage": 1, "name": "b", "task": "captioning", "inputs": 8, "kept": 6, "dropped": {"no answer": 2},
          "checked": 6, "right": 3, "wrong": 0, "examples": []}  # fmt: skip


def measured(*records, stage=1):
    probe = PseudoTargets()
    return probe, probe.measure(SimpleNamespace(records=list(records)), None, SimpleNamespace(index=stage))


def test_the_figures_are_those_of_the_stage():
    probe, figures = measured(RECORD | {"stage": 0, "inputs": 99}, RECORD)
    assert figures == {"made": 8.0, "dropped": 0.25, "wrong": 0.0, "right": 0.5}
    assert probe.record() == RECORD


def test_where_no_truth_is_known_nothing_is_said_of_it():
    _, figures = measured(RECORD | {"checked": 0, "right": 0})
    assert set(figures) == {"made", "dropped", "wrong"}


def test_a_stage_or_a_method_without_pseudo_targets_has_none():
    probe, figures = measured(RECORD, stage=2)
    assert figures == {} and probe.record() is None
    assert PseudoTargets().measure(SimpleNamespace(), None, SimpleNamespace(index=0)) == {}
