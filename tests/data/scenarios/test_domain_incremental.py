"""domain-incremental: one value of a column a stage, the same classes in each."""

import pytest

from polymnia.errors import DataError, SettingsError


@pytest.fixture(scope="module")
def sites(in_memory):
    return in_memory([0, 1, 2] * 30, domain=["b", "a", "c"] * 20 + ["a"] * 30, year=["1999", ""] * 45)


def test_one_domain_a_stage(sites, cut_by):
    stream = cut_by(sites, "domain-incremental", order=("c", "a", "b"))
    assert [stage.name for stage in stream] == ["01-c", "02-a", "03-b"]
    for stage in stream:
        for split in (stage.train, stage.valid, stage.test):
            assert set(split.columns["domain"]) <= {stage.name[3:]}


def test_a_test_sample_waits_for_its_class(in_memory, cut_by):
    targets, domain = [0, 1] * 20 + [2] * 11, ["a"] * 40 + ["a"] + ["b"] * 10
    stream = cut_by(
        in_memory(targets, domain=domain, split=["train"] * 40 + ["test"] + ["train"] * 10),
        "domain-incremental", order=("a", "b"),
    )  # fmt: skip
    assert [stage.classes for stage in stream] == [(0, 1), (2,)] and not len(stream[0].test)
    assert [(r.id, r.value) for r in stream.rejected] == [("s40", "class 2")]
    assert "by then" in stream.rejected[0].reason


def test_any_column_and_gaps_in_it(sites, cut_by):
    with pytest.raises(DataError, match="no such column: 'yaer'"):
        cut_by(sites, "domain-incremental", column="yaer")
    stream = cut_by(sites, "domain-incremental", column="year")
    assert len(stream) == 1 and len(stream.rejected) == 45


def test_an_empty_column(in_memory, cut_by):
    with pytest.raises(DataError, match="'domain' is empty for every sample"):
        cut_by(in_memory([0, 1], domain=["", ""]), "domain-incremental")


def test_every_domain_must_be_named(sites, cut_by):
    with pytest.raises(SettingsError, match="must name every domain once: a, b, c"):
        cut_by(sites, "domain-incremental", order=("a", "b"))
