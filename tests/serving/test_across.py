"""Search across modalities: it finds partners in a shared space, and says so where nothing aligns modalities."""

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


def test_a_model_without_a_space_answers_with_a_warning_once(indexed_run, digits, caplog):
    searcher, query = Searcher(indexed_run), digits.values["pixels"][0]
    with caplog.at_level(logging.WARNING):
        searcher.search(query, modality="pixels", within="pixels")
        assert not caplog.records
        for _ in range(2):
            searcher.search(query, modality="pixels", within="spectrum")
    [record] = caplog.records
    said = record.getMessage()
    assert "'classifier' does not put modalities into one space" in said and "pixels → spectrum" in said
    assert "Models that align modalities: shared-space" in said and aligning() == ["shared-space"]


def test_where_every_cosine_is_0_nothing_is_answered(tmp_path, digits):
    stream = {"name": "digits", "stages": 2, "modalities": ["pixels", "spectrum"]}
    Run(run_settings({"stream": stream, "method": "ncm"}), tmp_path / "run").go()
    build_index(tmp_path / "run")
    searcher = Searcher(tmp_path / "run")
    with pytest.raises(SettingsError, match=r"with method 'ncm' every cosine is 0\. Models that align.*--in pixels"):
        searcher.search(digits.values["pixels"][0], modality="pixels", within="spectrum")
    assert np.isclose(searcher.search(digits.values["pixels"][0], modality="pixels", within="pixels")[0].score, 1)
