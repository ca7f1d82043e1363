"""Stages of one task over one modality each, in a published order or another."""

import numpy as np
import pytest

from polymnia.data.scenarios.tasks import PUBLISHED
from polymnia.errors import DataError, SettingsError

PAIRS = [f"{task} {m}" for task in ("answering", "captioning") for m in ("audio", "image", "video")]


@pytest.fixture(scope="module")
def source(in_memory):
    """Twenty samples of each pair of a task and a modality, two a group."""
    pairs = [pair for pair in PAIRS for _ in range(20)]
    tasks = [pair.split()[0] for pair in pairs]
    present = {m: np.array([pair.endswith(m) for pair in pairs]) for m in ("image", "audio", "video")}
    groups = [f"g{at // 2}" for at in range(len(pairs))]
    return in_memory([-1] * len(pairs), present=present, task=tasks, group=groups)


def names(stream):
    return [f"{stage.task} {' '.join(stage.modalities)}" for stage in stream]


@pytest.mark.parametrize("order", ["1", "2"])
def test_the_published_orders(source, cut_by, order):
    stream = cut_by(source, "tasks", order=(order,))
    assert tuple(names(stream)) == PUBLISHED[order]
    assert sorted(PUBLISHED[order]) == PAIRS
    assert stream.stages[0].name == "01-" + PUBLISHED[order][0].replace(" ", "-")


def test_the_orders_are_those_of_the_specification():
    def short(order):
        return " ".join(pair.split()[1][0] + pair[0] for pair in PUBLISHED[order])

    assert short("1") == "ac ic va aa ia vc" and short("2") == "ic vc va ia ac aa"


def test_a_stage_holds_its_pair_and_no_other(source, cut_by):
    stream = cut_by(source, "tasks", order=("1",))
    for stage in stream:
        parts = [stage.train, stage.valid, stage.test]
        assert sum(map(len, parts)) == 20
        for part in filter(len, parts):
            assert set(part.columns["task"].tolist()) == {stage.task}
            assert bool(part.present[stage.modalities[0]].all())
    ids = [name for stage in stream for part in (stage.train, stage.valid, stage.test) for name in part.ids.tolist()]
    assert len(ids) == len(set(ids)) == 120


def test_some_pairs_in_an_order_of_ones_own(source, cut_by):
    order = ("answering video", "captioning image")
    assert tuple(names(cut_by(source, "tasks", order=order))) == order


def test_without_an_order_all_pairs_are_drawn_by_the_seed(source, cut_by):
    first = names(cut_by(source, "tasks"))
    assert sorted(first) == PAIRS and first == names(cut_by(source, "tasks"))
    assert any(names(cut_by(source, "tasks", seed=seed)) != first for seed in (1, 2))


def test_what_cannot_be_cut_is_said(source, cut_by, in_memory):
    with pytest.raises(SettingsError, match="names a pair twice"):
        cut_by(source, "tasks", order=("answering video", "answering video"))
    with pytest.raises((SettingsError, DataError), match="captioning picture"):
        cut_by(source, "tasks", order=("captioning picture", "captioning image"))
    with pytest.raises(DataError, match=r"a column 'task': captioning or answering"):
        cut_by(in_memory([0, 1, 0, 1]), "tasks")


def test_a_column_parts_a_pair_further(in_memory, cut_by):
    tasks, kinds = ["answering"] * 20 + ["generation"] * 10, ["colour", "shape"] * 10 + [""] * 10
    source = in_memory([-1] * 30, present={"image": np.ones(30, dtype=bool)}, task=tasks, kind=kinds)
    order = ("answering image shape", "generation image", "answering image colour")
    stream = cut_by(source, "tasks", by="kind", order=order)
    assert [stage.name for stage in stream] == ["01-answering-image-shape", "02-generation-image",
                                                "03-answering-image-colour"]  # fmt: skip
    for stage, kind in zip(stream, ("shape", "", "colour"), strict=True):
        parts = [stage.train, stage.valid, stage.test]
        assert sum(map(len, parts)) == 10 and {k for part in parts for k in part.columns["kind"].tolist()} == {kind}
    assert [stage.modalities for stage in stream] == [("image",)] * 3
    assert len(cut_by(source, "tasks")) == 2, "without it, pairs are whole"
    with pytest.raises(SettingsError, match=r"stream\.by: no such column: 'knid'. Did you mean 'kind'"):
        cut_by(source, "tasks", by="knid")
    with pytest.raises(SettingsError, match="no such pair: 'answering image'"):
        cut_by(source, "tasks", by="kind", order=("answering image",))
