"""class-incremental: disjoint classes, in equal groups or groups of a size."""

import pytest

from polymnia.errors import SettingsError


@pytest.fixture(scope="module")
def seven(in_memory):
    return in_memory([c for c in range(7) for _ in range(10)])


def arriving(stream) -> list[list[str]]:
    return [[stream.class_names[c] for c in stage.classes] for stage in stream]


def test_classes_are_disjoint_and_all_come(seven, cut_by):
    groups = arriving(cut_by(seven, "class-incremental", stages=3))
    assert [len(group) for group in groups] == [3, 2, 2]
    assert sorted(name for group in groups for name in group) == sorted(seven.dataset.class_names)


def test_a_given_number_of_classes_a_stage(seven, cut_by):
    assert [len(group) for group in arriving(cut_by(seven, "class-incremental", classes_per_stage=3))] == [3, 3, 1]


def test_a_given_order(seven, cut_by):
    order = tuple(f"class {c}" for c in (6, 2, 4, 0, 1, 3, 5))
    stream = cut_by(seven, "class-incremental", classes_per_stage=1, order=order)
    assert stream.class_names == order
    assert [stage.name for stage in stream][:2] == ["01-class-6", "02-class-2"]


def test_stages_and_sizes_exclude_each_other(seven, cut_by):
    for settings in ({}, {"stages": 2, "classes_per_stage": 2}):
        with pytest.raises(SettingsError, match="either stages or classes_per_stage"):
            cut_by(seven, "class-incremental", **settings)


@pytest.mark.parametrize("stages", [0, -1, 8])
def test_every_stage_needs_a_class(seven, cut_by, stages):
    with pytest.raises(SettingsError, match=f"7 classes cannot be cut into {stages} stages"):
        cut_by(seven, "class-incremental", stages=stages)


@pytest.mark.parametrize("size", [0, 8])
def test_a_size_that_does_not_fit(seven, cut_by, size):
    with pytest.raises(SettingsError, match=f"classes_per_stage: {size} is given; accepted: 1 to 7"):
        cut_by(seven, "class-incremental", classes_per_stage=size)
