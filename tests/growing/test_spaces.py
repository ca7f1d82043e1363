"""A shared space grows by pairs that nobody labelled, and the gate sees to it that nothing old moves."""

import json

import numpy as np
import pytest
import torch

from polymnia.data.check.check import check
from polymnia.errors import SettingsError
from polymnia.growing.indexing import OWN, data_of
from polymnia.growing.polymnia import Polymnia
from polymnia.serving.content import load_source
from polymnia.serving.index import build_index
from polymnia.serving.search import Searcher

ENCODERS = {"table": "identity", "features": "identity", "pixels": "identity"}


@pytest.fixture
def pairs(tmp_path):
    """Return a function that writes a manifest of pairs without labels: each row a place, seen by two sensors."""

    def write(name, *modalities, seed=0):
        random, path = np.random.default_rng(seed), tmp_path / f"{name}.jsonl"
        ways = {m: np.random.default_rng(sum(map(ord, m))).normal(0, 1, (6, 8)) for m in modalities}
        rows = []
        for n in range(80):
            place = random.normal(0, 1, 6)
            seen = {m: (place @ way + random.normal(0, 0.1, 8)).round(4).tolist() for m, way in ways.items()}
            rows.append({"id": f"{name}-{n}", **seen})
        rows.append({"id": f"{name}-alone", modalities[1]: [0.0] * 8})  # its partner is missing
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def space(tmp_path):
    def make(method="comet", **model):
        return Polymnia.new(
            tmp_path / method, encoders=ENCODERS, method=method, evaluation={"probes": ["certificates"]},
            model={"name": "shared-space", "mediator": "table", "width": 16, **model},
            trainer={"epochs": 12, "lr": 0.01, "batch_size": 32, "count_flops": False}, limits={"drop": 0.2},
        )  # fmt: skip

    return make


def test_what_check_suggests_can_be_learned(pairs):
    found = check(pairs("one", "table", "features"))
    assert found.stream["scenario"] == "pairing" and "no class" in found.why and not found.problems
    assert found.model == {"name": "shared-space", "mediator": "features"}, "the one that every row has"


def test_modalities_join_and_what_was_there_does_not_move(space, pairs, tmp_path):
    model = space()
    first = model.learn(pairs("one", "table", "features"))
    second = model.learn(pairs("two", "table", "pixels", seed=1))
    assert first.accepted and second.accepted, second.verdict.why
    [old, new] = second.verdict.compared
    assert (old.task, old.metric, new.new) == ("pairing", "retrieval R@10", True)
    assert old.moved == {"features": 0.0} and new.after > 0.6 and old.after > 0.6
    assert "What was promised to stay" in (second.folder / "verdict.html").read_text()
    with pytest.raises(SettingsError, match="tells no classes; it is searched"):
        model.predict({"table": [np.zeros(8, np.float32)]})


def test_what_was_searched_still_is_and_what_is_gone_is_told(space, pairs):
    pytest.importorskip("lancedb")
    model, one = space(), pairs("one", "table", "features")
    model.learn(one)
    assert build_index(model.folder.current, load_source(data_of(model.folder, model.folder.current)), name=OWN).rows
    two = pairs("two", "table", "pixels", seed=1)
    assert model.learn(two, limits={"drop": 1.0}).lost == ""
    row = json.loads(two.read_text().splitlines()[0])
    hits = Searcher(model.folder.current).search(
        np.array(row["pixels"], np.float32), within="pixels", modality="pixels"
    )
    assert hits[0].id == "02-two/two-0", hits[0].id
    one.rename(one.with_name("moved.jsonl"))
    third = model.learn(pairs("three", "table", "pixels", seed=2), limits={"drop": 1.0})
    assert third.accepted and "one.jsonl" in third.lost


def test_what_moves_against_a_promise_is_kept_aside(space, pairs, monkeypatch):
    model = space()
    model.learn(pairs("one", "table", "features"))
    from polymnia.methods.comet import Comet

    ends = Comet.after_stage

    def shaken(self, stage):
        ends(self, stage)
        if stage.index:
            with torch.no_grad():
                for parameter in self.model.projectors["features"].parameters():
                    parameter += 1e-3

    monkeypatch.setattr(Comet, "after_stage", shaken)
    bad = model.learn(pairs("two", "table", "pixels", seed=1))
    assert not bad.accepted
    [why] = bad.verdict.why
    assert why.startswith("01-one: vectors of features moved by up to ") and why.endswith("are promised to stay")
    assert model.learn(pairs("three", "table", "pixels", seed=1), limits={"promises": False}).accepted


def test_where_nothing_is_promised_nothing_is_held_against_it(space, pairs):
    model = space("finetune")
    model.learn(pairs("one", "table", "features"))
    free = model.learn(pairs("two", "table", "pixels", seed=1))
    assert free.verdict.compared[0].moved == {}
    strict = model.learn(pairs("three", "table", "features", seed=2), limits={"unchanged": True})
    assert any("outputs are not the same to the last bit" in reason for reason in strict.verdict.why)
    with pytest.raises(SettingsError, match=r"stream.mediator: no such modality: 'table'"):
        model.learn(pairs("four", "features", "pixels"))
