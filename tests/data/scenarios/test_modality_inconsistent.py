"""modality-inconsistent: modalities and classes change from stage to stage."""

from itertools import pairwise

import pytest

from polymnia.errors import SettingsError


@pytest.fixture(scope="module")
def three(in_memory):
    return in_memory([c for c in range(6) for _ in range(20)], present={m: [True] * 120 for m in "abc"})


@pytest.mark.parametrize(("sets", "groups"), [(3, 2), (2, 3), (3, 3), (3, 5), (2, 6), (3, 1), (1, 4), (2, 2)])
def test_a_grid_visits_every_pair_and_changes_both_where_it_can(three, cut_by, sets, groups):
    for seed in range(8):
        stream = cut_by(three, "modality-inconsistent", groups=groups, subsets=("a", "b", "c")[:sets], seed=seed)
        cells = [(stage.modalities, stage.classes) for stage in stream]
        assert len(set(cells)) == len(cells) == sets * groups
        kept = sum(x[0] == y[0] or x[1] == y[1] for x, y in pairwise(cells))
        unavoidable = {(3, 1): 2, (1, 4): 3, (2, 2): 1}.get((sets, groups), 0)
        assert kept == unavoidable


def test_classes_once_each_with_modalities_in_turn(three, cut_by):
    stream = cut_by(three, "modality-inconsistent", stages=4, subsets=("a+b", "c"))
    assert [stage.modalities for stage in stream] == [("a", "b"), ("c",), ("a", "b"), ("c",)]
    assert sorted(c for stage in stream for c in stage.classes) == list(range(6))
    assert stream[0].name.startswith("01-a+b-class-")


def test_every_modality_alone_by_default(three, cut_by):
    stream = cut_by(three, "modality-inconsistent", groups=1)
    assert {stage.modalities for stage in stream} == {("a",), ("b",), ("c",)}


def test_settings_that_do_not_fit(three, cut_by):
    for settings in ({}, {"groups": 2, "stages": 2}):
        with pytest.raises(SettingsError, match="either groups or stages"):
            cut_by(three, "modality-inconsistent", **settings)
    with pytest.raises(SettingsError, match="no such modality: 'x'"):
        cut_by(three, "modality-inconsistent", groups=2, subsets=("a", "x"))
    with pytest.raises(SettingsError, match="names a set of modalities twice"):
        cut_by(three, "modality-inconsistent", groups=2, subsets=("a+b", "b+a"))
    with pytest.raises(SettingsError, match="6 classes cannot be cut into 7"):
        cut_by(three, "modality-inconsistent", groups=7)
