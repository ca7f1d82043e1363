"""given: the stages that the data states."""

import pytest

from polymnia.errors import DataError, SettingsError


def test_numbers_are_ordered_as_numbers_and_names_as_they_appear(in_memory, cut_by):
    numbered = cut_by(in_memory([0, 1] * 30, stage=["10", "10", "9", "9", "1", "1"] * 10), "given")
    assert [stage.name for stage in numbered] == ["01-1", "02-9", "03-10"]
    named = cut_by(in_memory([0, 1] * 30, stage=["march", "march", "april", "april", "may", "may"] * 10), "given")
    assert [stage.name for stage in named] == ["01-march", "02-april", "03-may"]


def test_another_order(in_memory, cut_by):
    source = in_memory([0, 1] * 20, stage=["x", "x", "y", "y"] * 10)
    assert [s.name for s in cut_by(source, "given", order=("y", "x"))] == ["01-y", "02-x"]
    with pytest.raises(SettingsError, match="no such stage: 'z'"):
        cut_by(source, "given", order=("y", "z"))


def test_there_must_be_a_column(in_memory, cut_by):
    with pytest.raises(DataError, match="needs a column 'stage'"):
        cut_by(in_memory([0, 1] * 20), "given")


def test_a_stage_without_training_samples_is_named(in_memory, cut_by):
    source = in_memory([0, 1] * 4, stage=["1", "1", "2", "2"] * 2, split=["train", "train", "test", "test"] * 2)
    with pytest.raises(DataError, match="stage 02-2 would have no training samples: all of its samples validate or"):
        cut_by(source, "given")
