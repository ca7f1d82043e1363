"""Asked in any direction, a run's index answers; what cannot be asked is said, with the way out."""

import json

import numpy as np
import pytest

from polymnia.data.source import SOURCES
from polymnia.errors import DataError, SettingsError
from polymnia.serving.asking import asked_for
from polymnia.serving.loading import finished
from polymnia.serving.search import Searcher, search


@pytest.fixture(scope="module")
def digits():
    return SOURCES.get("digits")().load().samples


@pytest.fixture(scope="module")
def searcher(indexed_run):
    return Searcher(indexed_run)


def test_a_value_finds_itself_first_and_scores_are_cosines_in_order(searcher, digits):
    hits = searcher.search(digits.values["pixels"][5], modality="pixels", within="pixels", k=7)
    assert hits[0].id == str(digits.ids[5]) and hits[0].score == pytest.approx(1, abs=1e-5)
    scores = [hit.score for hit in hits]
    assert len(hits) == 7 and scores == sorted(scores, reverse=True) and {hit.modality for hit in hits} == {"pixels"}


def test_answers_are_those_of_an_exact_search_over_one_modality(searcher, digits):
    query = digits.values["pixels"][9]
    vector = searcher.embed(query, modality="pixels")
    held = [row for row in searcher.table.to_arrow().to_pylist() if row["modality"] == "pixels"]
    scores = np.array([row["vector"] for row in held]) @ vector
    hits = searcher.search(query, modality="pixels", within="pixels", k=5)
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(scores)[::-1][:5], atol=1e-5)


def test_the_nearest_other_value_of_its_own_modality_is_mostly_of_its_class(searcher, digits):
    # Not across modalities: nothing in the classifier family pulls them together, and they are not.
    right, at = 0, np.random.default_rng(0).choice(len(digits), 40, replace=False)
    for row in at:
        hits = searcher.search(digits.values["pixels"][row], modality="pixels", within="pixels", k=2)
        other = next(hit for hit in hits if hit.id != str(digits.ids[row]))
        right += other.label == digits.columns["label"][row]
    assert right / 40 > 0.7  # chance is 0.1


def test_an_older_stage_answers_as_it_did_then(indexed_run, digits):
    first, last = finished(indexed_run)
    query = digits.values["pixels"][3]
    early = search(indexed_run, query, modality="pixels", stage=first)
    late = search(indexed_run, query, modality="pixels")
    assert {hit.stage for hit in early} == {first} and {hit.stage for hit in late} == {last}
    assert [hit.score for hit in early] != [hit.score for hit in late]


def test_what_cannot_be_asked(searcher, tmp_path, digits):
    path = tmp_path / "query"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        searcher.search(path)
    with path.open("wb") as file:
        np.save(file, digits.values["pixels"][0])
    with pytest.raises(SettingsError, match=r"several modalities of that kind: pixels, spectrum.*--as pixels"):
        searcher.search(path)
    assert searcher.search(path, modality="pixels", k=1)[0].id == str(digits.ids[0])
    with pytest.raises(DataError, match=r"the query is text, and by stage .* the run knows pixels \(table\)"):
        searcher.search("a frog")
    with pytest.raises(SettingsError, match=r"no such modality: 'pixel'. Did you mean 'pixels'"):
        searcher.search(path, modality="pixels", within="pixel")
    with pytest.raises(SettingsError, match="k: 0 is given"):
        searcher.search(path, modality="pixels", k=0)


def test_a_word_is_a_file_where_there_is_one_else_a_text(tmp_path):
    path = tmp_path / "frog.png"
    with pytest.raises(DataError, match="there is no file"):
        asked_for(str(path))
    path.write_bytes(b"x")
    assert asked_for(str(path)) == path and asked_for("a frog") == "a frog" and asked_for("x" * 5000) == "x" * 5000


def test_the_commands(run, tmp_path, digits, command):
    query = tmp_path / "scan.npy"
    np.save(query, digits.values["pixels"][0])
    done = command("search", run, query, "--as", "pixels")
    assert done.returncode == 1 and f"has no index yet. Make it: polymnia index {run}" in done.stderr
    made = json.loads(command("index", run, "--json").stdout)
    assert made["rows"] == sum(made["modalities"].values()) and made["bytes"] > 0
    done = command("search", run, query, "--as", "pixels", "--in", "spectrum", "-k", "3", "--json")
    hits = json.loads(done.stdout)
    assert len(hits) == 3 and {hit["modality"] for hit in hits} == {"spectrum"}
    shown = command("search", run, query, "--as", "pixels", "--in", "spectrum", "-k", "3")
    assert shown.returncode == 0 and f"{hits[0]['score']:.3f}" in shown.stdout and "spectrum" in shown.stdout
    wrong = command("search", run, query, "--as", "pixels", "--in", "image")
    assert wrong.returncode == 2 and "Accepted: pixels, spectrum." in wrong.stderr and "Traceback" not in wrong.stderr
