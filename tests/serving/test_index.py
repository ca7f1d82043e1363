"""The index: filled in chunks, once; a version a stage; exact where rows are few, else close to exact."""

import json
from pathlib import Path

import lancedb
import numpy as np
import pytest

from polymnia.data.source import SOURCES
from polymnia.errors import DataError, SettingsError, StateError
from polymnia.serving import index as indexing
from polymnia.serving.content import read_data
from polymnia.serving.index import build_index
from polymnia.serving.loading import finished, load
from polymnia.serving.nearest import nearest, prepare, warm
from polymnia.serving.table import indexed, open_index, where
from polymnia.serving.table import rows as table_rows


def rows(folder, stage=None):
    return open_index(folder, stage=stage)[0].to_arrow().to_pylist()


def test_it_holds_test_and_training_samples_of_the_stages_so_far(indexed_run):
    first, last = finished(indexed_run)
    early, late = rows(indexed_run, first), rows(indexed_run)
    learned = load(indexed_run)
    stream = indexing.own_data(learned.settings)
    for held, stages in ((early, stream.stages[:1]), (late, stream.stages)):
        wanted = {str(name) for s in stages for side in (s.test, s.train) for name in side.ids}
        for modality in ("pixels", "spectrum"):
            assert sorted(row["id"] for row in held if row["modality"] == modality) == sorted(wanted)
    assert {row["stage"] for row in early} == {first} and {row["stage"] for row in late} == {last}
    assert {row["split"] for row in late} == {"train", "test"} and {row["source"] for row in late} <= {
        late[0]["source"]
    }
    raw = SOURCES.get("digits")().load().samples
    labels = dict(zip(raw.ids.tolist(), raw.columns["label"].tolist(), strict=True))
    assert all(row["label"] == labels[row["id"]] for row in late)
    vectors = np.array([row["vector"] for row in late])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_stage_has_its_own_version_and_lancedb_alone_can_read_it(indexed_run):
    first, last = finished(indexed_run)
    held = indexed(indexed_run)
    assert list(held) == [first, last] and [held[name].tag for name in held] == ["stage-01", "stage-02"]
    table = lancedb.connect(where(indexed_run)).open_table("samples")
    counts = []
    for tag in ("stage-01", "stage-02"):
        table.checkout(tag)
        counts.append(table.count_rows())
    assert counts == [held[first].rows, held[last].rows] and counts[0] < counts[1]
    stages = {load(indexed_run, stage=name).stage: name for name in (first, last)}
    assert rows(indexed_run, first)[0]["vector"] != rows(indexed_run, last)[0]["vector"] and len(stages) == 2


def test_what_is_there_is_not_embedded_again(run, monkeypatch):
    found = build_index(run)
    before = (where(run) / "index.json").read_bytes()
    seen = []
    assert build_index(run, progress=lambda *what: seen.append(what)) == found
    assert not seen and (where(run) / "index.json").read_bytes() == before
    again = build_index(run, fresh=True, progress=lambda *what: seen.append(what))
    assert again == found and seen and len(rows(run)) == found.rows


def test_a_build_that_was_stopped_goes_on_where_it_was(run, monkeypatch):
    monkeypatch.setattr(indexing, "CHUNK", 300)
    first = finished(run)[0]
    old = build_index(run, stage=first)

    written = []

    def stop(modality, done, total):
        if done >= 600:
            written.append(done)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(run, progress=stop)
    assert list(indexed(run)) == [first] and len(rows(run)) == old.rows  # the half-built one is not seen
    done = []
    found = build_index(run, progress=lambda modality, at, total: done.append((modality, total)))
    assert dict(done)["pixels"] == found.modalities["pixels"] - written[0]
    keys = [(row["id"], row["modality"]) for row in rows(run)]
    assert len(keys) == len(set(keys)) == found.rows


@pytest.fixture
def own(tmp_path):
    """A manifest with four feature files, one of them cut."""
    lines = ["id,pixels,label"]
    for i in range(4):
        path = tmp_path / f"{i}.npy"
        np.save(path, np.random.default_rng(i).random(64).astype(np.float32))
        lines.append(f"own-{i},{path.name},mine")
    (tmp_path / "3.npy").write_bytes((tmp_path / "3.npy").read_bytes()[:-3])
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "own.csv"


def test_other_data_joins_and_what_is_broken_is_counted(run, own):
    name, dataset = read_data(str(own), ["kinds.pixels=table"])
    before = build_index(run)
    found = build_index(run, dataset, name=name)
    assert found.rows == before.rows + 3 and found.rejected[name] == 1
    mine = [row for row in rows(run) if row["source"] == name]
    assert {row["label"] for row in mine} == {"mine"} and {Path(row["value"]).name for row in mine} == {
        "0.npy", "1.npy", "2.npy"}  # fmt: skip
    said = [json.loads(line) for line in (where(run) / "rejected.jsonl").read_text().splitlines()]
    assert [row["id"] for row in said] == ["own-3"] and "truncated" in said[0]["reason"]


def test_data_in_a_settings_file_in_a_source_and_nowhere(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("stream: {name: digits, scenario: class-incremental, stages: 5, modalities: [pixels]}\n")
    assert read_data(str(path))[0] == "digits modalities=['pixels']"
    assert read_data("digits", ["modalities=[pixels]"])[0] == "digits modalities=['pixels']"
    with pytest.raises(SettingsError, match="Did you mean 'digits'"):
        read_data("digit")
    with pytest.raises(SettingsError, match="no such setting of 'digits'"):
        read_data("digits", ["modality=[pixels]"])


def test_data_that_does_not_fit_is_refused(run, in_memory):
    with pytest.raises(DataError, match=r"the data has table, and .* has learned pixels, spectrum"):
        build_index(run, in_memory([0, 1]).load())
    with pytest.raises(DataError, match="not one of 2 values can be embedded"):
        data = in_memory([0, 1], present={"pixels": [True, True]}).load()
        data.samples.values["pixels"][:] = np.nan
        build_index(run, data)


def test_no_index_no_such_stage_and_a_stale_one(run):
    first, last = finished(run)
    with pytest.raises(StateError, match=f"has no index yet. Make it: polymnia index {run}"):
        open_index(run)
    build_index(run)
    with pytest.raises(StateError, match=f"has no index of stage '{first}'; it has {last}.*--stage {first}"):
        open_index(run, stage=first)
    about = json.loads((where(run) / "index.json").read_text())
    about["stages"][last]["weights"] = "0" * 64
    (where(run) / "index.json").write_text(json.dumps(about))
    with pytest.raises(StateError, match="has been learned again since"):
        open_index(run)
    assert build_index(run).rows == len(rows(run))  # which makes it anew
    (where(run) / "index.json").write_text("{")
    with pytest.raises(StateError, match=r"index.json is damaged"):
        open_index(run)


def test_an_approximate_index_finds_what_an_exact_search_finds(tmp_path):
    n, k, random = 4000, 10, np.random.default_rng(0)
    centres = random.normal(size=(50, 32))
    vectors = (centres[random.integers(50, size=n)] + 0.5 * random.normal(size=(n, 32))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    words = {name: [""] * n for name in ("value", "label", "source", "split", "stage")}
    columns = {"id": [str(i) for i in range(n)], "modality": ["it's" if i % 10 == 0 else "b" for i in range(n)]}
    table = lancedb.connect(tmp_path).create_table("samples", table_rows({**columns, **words}, vectors))
    assert not prepare(table, rows=n, exact=n) and not table.list_indices()
    assert prepare(table, rows=n, exact=1000) and len(table.list_indices()) == 2
    warm(table)
    for within, among in ((None, np.arange(n)), ("it's", np.arange(0, n, 10))):
        hits = 0
        for query in vectors[random.choice(n, 50)] + 0.02 * random.normal(size=(50, 32)).astype(np.float32):
            found = nearest(table, query, k=k, within=within)
            scores = vectors[among] @ query / np.linalg.norm(query)
            best = among[np.argsort(-scores)[:k]]
            hits += len({int(row["id"]) for row in found} & set(best.tolist()))
            np.testing.assert_allclose(found[0]["score"], scores.max(), atol=1e-3)
        assert hits / (50 * k) >= 0.95, within
    assert not prepare(table, rows=n, exact=n) and not table.list_indices()
