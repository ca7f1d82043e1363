"""Search across modalities: it finds partners in a shared space, and says so where nothing aligns modalities."""

import json
import logging

import numpy as np
import pytest

from polymnia.data.source import SOURCES
from polymnia.errors import SettingsError
from polymnia.serving.index import build_index, own_data
from polymnia.serving.search import Searcher, aligning
from polymnia.training.run import Run
from polymnia.training.settings import run_settings


@pytest.fixture(scope="module")
def digits():
    return SOURCES.get("digits")().load().samples


@pytest.fixture(scope="module")
def searcher(space_run):
    return Searcher(space_run)


def found(searcher, digits, *, asked: str, within: str, queries: int = 60) -> tuple[float, float]:
    """Return how often a test sample's partner is among the ten nearest, and how often the first has its class."""
    test = own_data(searcher.learned.settings).stages[-1].test.ids.tolist()
    row_of = {name: row for row, name in enumerate(digits.ids.tolist())}
    partner = of_class = 0
    for name in test[:queries]:
        hits = searcher.search(digits.values[asked][row_of[name]], within=within, modality=asked)
        assert {hit.modality for hit in hits} == {within} and len(hits) == 10
        partner += name in {hit.id for hit in hits}
        of_class += hits[0].label == digits.columns["label"][row_of[name]]
    return partner / queries, of_class / queries


@pytest.mark.parametrize(("asked", "within"), [("spectrum", "pixels"), ("pixels", "spectrum")])
def test_partners_are_found_among_all_the_index_holds(searcher, digits, asked, within, caplog):
    partner, of_class = found(searcher, digits, asked=asked, within=within)
    chance = 10 / searcher.indexed.modalities[within]
    assert partner > 10 * chance and of_class > 0.5  # of ten classes
    assert not caplog.records, "a space needs no warning"


def test_so_are_partners_of_modalities_that_were_never_paired(searcher, digits):
    partner, of_class = found(searcher, digits, asked="spectrum", within="projections")
    assert partner > 5 * 10 / searcher.indexed.modalities["projections"] and of_class > 0.3


@pytest.mark.parametrize("method", ["finetune", "ncm"])
def test_without_a_space_others_are_found_by_what_the_same_samples_have(tmp_path, digits, method, caplog):
    stream = {"name": "digits", "stages": 2, "modalities": ["pixels", "spectrum"]}
    trainer = {"epochs": 1, "count_flops": False}
    Run(run_settings({"stream": stream, "method": method, "trainer": trainer}), tmp_path / "run").go()
    build_index(tmp_path / "run")
    searcher, query = Searcher(tmp_path / "run"), digits.values["pixels"][0]
    with caplog.at_level(logging.WARNING):
        like = searcher.search(query, modality="pixels", within="pixels")
        assert not caplog.records and {hit.through for hit in like} == {None}
        for _ in range(2):
            others = searcher.search(query, modality="pixels", within="spectrum")
    assert {(hit.modality, hit.through) for hit in others} == {("spectrum", "pixels")}
    assert [(hit.id, hit.score) for hit in others] == [(hit.id, hit.score) for hit in like]
    assert np.isclose(others[0].score, 1) and others[0].id == str(digits.ids[0])
    [record] = caplog.records
    said = record.getMessage()
    assert "'classifier' does not put modalities into one space" in said and "pixels → spectrum" in said
    assert "are found by the pixels of the same samples" in said
    assert "Models that align modalities: shared-space" in said and aligning() == ["shared-space"]


@pytest.fixture
def never_both(tmp_path):
    """Return a function that learns and indexes points of which each was seen by one of two sensors."""

    def make(method):
        path, random = tmp_path / "points.jsonl", np.random.default_rng(0)
        rows = [
            {"id": f"p{n}", ("a", "b")[n % 4 < 2]: random.normal(n % 2, 0.3, 4).tolist(), "label": f"c{n % 2}"}
            for n in range(48)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        stream = {"name": "manifest", "path": str(path), "scenario": "single", "kinds": {"a": "table", "b": "table"}}
        given = {"stream": stream, "method": method, "trainer": {"epochs": 1, "count_flops": False}}
        Run(run_settings({**given, "encoders": {"a": "identity", "b": "identity"}}), tmp_path / "run").go()
        build_index(tmp_path / "run")
        return Searcher(tmp_path / "run")

    return make


def test_where_no_sample_has_both_answers_mean_little(never_both, caplog):
    with caplog.at_level(logging.WARNING):
        hits = never_both("finetune").search(np.ones(4, dtype=np.float32), modality="a", within="b")
    assert hits and {hit.through for hit in hits} == {None}
    assert "(a → b) mean little" in caplog.records[0].getMessage()


def test_where_every_cosine_is_0_nothing_is_answered(never_both):
    with pytest.raises(SettingsError, match=r"with method 'ncm' every cosine is 0\. Models that align.*--in a"):
        never_both("ncm").search(np.ones(4, dtype=np.float32), modality="a", within="b")
