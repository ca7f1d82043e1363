"""modality-incremental: a new sensor a stage, the same samples on the same sides."""

import pytest

from polymnia.errors import DataError, SettingsError

N = 60


@pytest.fixture(scope="module")
def sensors(in_memory):
    """Sensor c is there for a third of the samples only, of all classes."""
    present = {"a": [True] * N, "b": [True] * N, "c": [i < N // 3 for i in range(N)]}
    return in_memory([i % 4 for i in range(N)], present=present)


def test_each_stage_shows_one_modality_of_the_same_classes(sensors, cut_by):
    stream = cut_by(sensors, "modality-incremental", order=("b", "c", "a"))
    assert [stage.modalities for stage in stream] == [("b",), ("c",), ("a",)]
    assert [stage.classes for stage in stream] == [(0, 1, 2, 3)] * 3
    assert [len(s.train) + len(s.valid) + len(s.test) for s in stream] == [N, N // 3, N]
    assert stream[0].test.ids.tolist() == stream[2].test.ids.tolist()
    assert set(stream[1].test.ids) <= set(stream[0].test.ids), "a sample keeps its side"


def test_earlier_sensors_may_stay_on(sensors, cut_by):
    stream = cut_by(sensors, "modality-incremental", order=("b", "c", "a"), cumulative=True)
    assert [stage.modalities for stage in stream] == [("b",), ("b", "c"), ("a", "b", "c")]
    assert [stage.name for stage in stream] == ["01-b", "02-b+c", "03-b+c+a"]
    assert len(stream[1].train) + len(stream[1].valid) + len(stream[1].test) == N // 3
    assert not bool(stream[2].train.present["c"].all()) and bool(stream[2].train.present["b"].all())


def test_several_at_once_and_some_never(sensors, cut_by):
    stream = cut_by(sensors, "modality-incremental", order=("a+b", "c"))
    assert [stage.modalities for stage in stream] == [("a", "b"), ("c",)]
    assert set(cut_by(sensors, "modality-incremental", order=("a",)).kinds) == {"a"}


def test_the_order_is_drawn_from_the_seed(sensors, cut_by):
    orders = {tuple(s.modalities for s in cut_by(sensors, "modality-incremental", seed=seed)) for seed in range(9)}
    assert len(orders) > 1


def test_wrong_orders(sensors, cut_by):
    with pytest.raises(SettingsError, match="no such modality: 'd'"):
        cut_by(sensors, "modality-incremental", order=("a", "d"))
    with pytest.raises(SettingsError, match="modality 'a' comes twice"):
        cut_by(sensors, "modality-incremental", order=("a", "b+a"))


def test_a_modality_that_nobody_has(in_memory, cut_by):
    source = in_memory([0, 1] * 10, present={"a": [True] * 20, "b": [False] * 20})
    with pytest.raises(DataError, match="stage 02-b would have no training samples"):
        cut_by(source, "modality-incremental", order=("a", "b"))
