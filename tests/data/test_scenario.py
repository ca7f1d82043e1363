"""Cutting: what holds for every scenario, over any labelled set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymnia.data.scenario import SCENARIOS, stage_names
from polymnia.data.splits import SPLITS
from polymnia.errors import DataError, SettingsError

SETTINGS = {
    "class-incremental": [{"stages": 2}, {"classes_per_stage": 1}],
    "domain-incremental": [{}],
    "modality-incremental": [{}, {"cumulative": True}],
    "modality-inconsistent": [{"groups": 2}, {"stages": 2}, {"groups": 1, "subsets": ("a", "a+b")}],
    "blurry": [{"stages": 2, "blur": 0.5}, {"stages": 2, "disjoint": 0.0, "blur": 0.9, "stochastic": True}],
    "given": [{}],
    "single": [{}],
    "tasks": [{}],
    "pairing": [
        {"mediator": "a"},
        {"mediator": "b", "disjoint": True},
        {"mediator": "a", "together": True},
        {"mediator": "b", "at_once": True},
    ],
}


def test_every_scenario_is_tested_here():
    assert sorted(SETTINGS) == SCENARIOS.names()


@st.composite
def sources(draw) -> dict:
    """Any labelled set with groups, tiny classes, missing modalities, domains, stages and samples without a label."""
    n = draw(st.integers(4, 40))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    has_a = column(st.booleans())
    has_b = [not a or b for a, b in zip(has_a, column(st.booleans()), strict=True)]
    return {
        "targets": column(st.integers(-1, 4)),
        "task": column(st.sampled_from(["captioning", "answering", ""])),
        "present": {"a": has_a, "b": has_b},
        "classes": 5,
        "group": column(st.sampled_from(["", "g1", "g2", "g3", "g4"])),
        "domain": column(st.sampled_from(["", "north", "south"])),
        "stage": column(st.sampled_from(["", "1", "2", "10"])),
    }


@pytest.mark.parametrize("scenario", SETTINGS)
@given(data=st.data())
def test_no_sample_and_no_group_is_on_two_sides_and_none_is_lost(scenario, in_memory, cut_by, data):
    made, settings = data.draw(sources()), data.draw(st.sampled_from(SETTINGS[scenario]))
    source = in_memory(**made)
    try:
        stream = cut_by(source, scenario, seed=data.draw(st.integers(0, 3)), test=0.3, **settings)
    except (DataError, SettingsError) as error:  # too little data for such a stream, and it says so
        assert str(error)
        return
    group = dict(zip(source.dataset.samples.ids.tolist(), made["group"], strict=True))
    sides: dict[str, set[str]] = {}
    for stage in stream:
        for split in SPLITS:
            for name in getattr(stage, split).ids.tolist():
                sides.setdefault(name, set()).add(split)
                if group[name]:
                    sides.setdefault(f"group {group[name]}", set()).add(split)
    assert all(len(found) == 1 for found in sides.values())
    held = {name for name in sides if not name.startswith("group ")}
    left = {r.id for r in stream.rejected}
    assert held | left == set(group) and not held & left
    assert all(r.reason for r in stream.rejected)


@pytest.mark.parametrize("scenario", SETTINGS)
@given(data=st.data())
def test_stages_say_what_they_hold(scenario, in_memory, cut_by, data):
    made, settings = data.draw(sources()), data.draw(st.sampled_from(SETTINGS[scenario]))
    source = in_memory(**made)
    try:
        stream = cut_by(source, scenario, test=0.3, **settings)
    except (DataError, SettingsError):
        return
    names = [stage.name for stage in stream]
    assert len(set(names)) == len(names) and names == sorted(names)
    label = dict(zip(source.dataset.samples.ids.tolist(), made["targets"], strict=True))
    seen: list[int] = []
    for stage in stream:
        assert len(stage.train) and stage.modalities == stage.train.modalities
        unlabelled = set() if stage.task == "classification" else {-1}
        assert set(stage.train.targets.tolist()) - unlabelled == set(stage.classes)
        new = [c for c in stage.classes if c not in seen]
        assert new == list(range(len(seen), len(seen) + len(new))), "classes are numbered as they arrive"
        seen += new
        for split in SPLITS:
            samples = getattr(stage, split)
            assert set(samples.values) == set(stage.modalities)
            asked = set(samples.targets.tolist()) - unlabelled
            assert asked <= set(seen), "nobody is asked for a class that was never trained"
            for sample in (samples[row] for row in range(len(samples))):
                assert sample.values, "each sample has something"
                if sample.target >= 0 or not unlabelled:
                    assert stream.class_names[sample.target] == f"class {label[sample.id]}"
                for m, value in sample.values.items():
                    assert made["present"][m][int(sample.id[1:])]
                    assert np.array_equal(value, source.dataset.samples.values[m][int(sample.id[1:])])
    assert set(stream.kinds) == {m for stage in stream for m in stage.modalities}


@pytest.mark.parametrize("scenario", SETTINGS)
def test_the_seed_decides(scenario, in_memory, cut_by):
    targets = [c for c in range(6) for _ in range(12)]
    source = in_memory(
        targets, present={"a": [True] * 72, "b": [True] * 72}, stage=["1", "2"] * 36, domain=["n", "s", "w"] * 24,
        **({} if scenario == "single" else {"task": ["captioning", "answering"] * 36}),
    )  # fmt: skip

    def shape(seed):
        stream = cut_by(source, scenario, seed=seed, **SETTINGS[scenario][0])
        return [(s.name, s.train.ids.tolist(), s.valid.ids.tolist(), s.test.ids.tolist()) for s in stream]

    assert shape(0) == shape(0) != shape(1)


def test_names_are_fit_for_folders():
    given_names = ["a/b\\c: d", "..", "x" * 300, "été", "", "a/b", "image+text"]
    names = stage_names(given_names)
    assert names[:2] == ["01-a-b-c-d", "02"] and names[3:] == ["04-été", "05", "06-a-b", "07-image+text"]
    assert all(len(name.encode()) < 255 and "/" not in name for name in stage_names(["é" * 300] * 3))
    assert stage_names(["a"] * 120)[::60] == ["001-a", "061-a"]


def test_one_class_is_not_enough(in_memory, cut_by):
    with pytest.raises(DataError, match="in-memory has 1 classes with training samples; at least 2 are needed"):
        cut_by(in_memory([0] * 20), "single")


def test_no_labels_at_all(in_memory, cut_by):
    with pytest.raises(DataError, match="class-incremental needs labels"):
        cut_by(in_memory([-1] * 20), "class-incremental", stages=2)
    with pytest.raises(DataError, match="it has no labelled samples"):
        cut_by(in_memory([-1] * 20), "single")


def test_no_samples_at_all(in_memory, cut_by):
    with pytest.raises(DataError, match="in-memory has no samples"):
        cut_by(in_memory([]), "single")


def test_a_class_that_only_tests_is_set_aside(in_memory, cut_by):
    source = in_memory([0, 0, 1, 1, 2, 2], split=["train", "test", "train", "test", "test", "valid"])
    stream = cut_by(source, "class-incremental", stages=2)
    assert sorted(stream.class_names) == ["class 0", "class 1"]
    assert [(r.id, r.reason) for r in stream.rejected] == [
        ("s4", "its class 'class 2' has no training sample"),
        ("s5", "its class 'class 2' has no training sample"),
    ]


def test_samples_without_a_label_are_set_aside(in_memory, cut_by):
    stream = cut_by(in_memory([0, -1, 1] * 10), "single")
    assert {r.reason for r in stream.rejected} == {"has no label"} and len(stream.rejected) == 10


def test_duplicate_ids_in_columns_are_found(in_memory, cut_by):
    source = in_memory([0, 1, 0, 1])
    source.dataset.samples.ids[1] = "s0"
    with pytest.raises(DataError, match=r"duplicate sample ids: s0 \(1 in all\)"):
        cut_by(source, "single")


def test_a_wrong_name_in_an_order_gets_the_nearest(in_memory, cut_by):
    source = in_memory([0, 1] * 10)
    with pytest.raises(SettingsError, match=r"no such class: 'class1'\. Did you mean 'class 1'"):
        cut_by(source, "class-incremental", stages=2, order=("class 0", "class1"))
    with pytest.raises(SettingsError, match="must name every class once: class 0, class 1"):
        cut_by(source, "class-incremental", stages=2, order=("class 0",))
