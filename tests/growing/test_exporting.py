"""A model is handed on: the folder answers as the model does, and says what it was made of."""

import json

import pytest
import torch

import polymnia as pm
from polymnia.errors import SettingsError, StateError
from polymnia.growing.exported import Exported
from polymnia.growing.exporting import README

POINTS = [[0.5, -1.0, 2.0, 0.0, 1.0, 3.0, -2.0, 0.25], [2.0] * 8]


@pytest.fixture
def grown(fresh, written):
    model = fresh()
    model.learn(written("first", ["apple", "pear"]), by="anna")
    model.learn(written("autumn", ["plum"], seed=1), force=True)
    return model


def test_it_answers_as_the_model_does(grown, tmp_path):
    made = grown.export(tmp_path / "out")
    exported = pm.Polymnia.from_pretrained(made.folder)
    assert isinstance(exported, Exported)
    asked = {"features": POINTS}
    assert exported.predict(asked) == grown.predict(asked)
    assert exported.version == grown.version and exported.history() == grown.history()
    assert {path.name for path in made.folder.iterdir()} >= {"model.safetensors", "config.json", README}
    assert isinstance(pm.Polymnia.from_pretrained(grown.folder.path), pm.Polymnia)


def test_onnx_gives_the_same_logits(grown, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    made = grown.export(tmp_path / "out")
    session = onnxruntime.InferenceSession(str(made.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for rows in (1, 2):
        vectors = torch.tensor(POINTS[:rows])
        given = {"features": vectors.numpy(), "features_present": torch.ones(rows, dtype=torch.bool).numpy()}
        [logits] = session.run(None, given)
        said = grown.predict({"features": POINTS[:rows]})
        names = grown.learned.class_names
        best = [names[i] for i in torch.from_numpy(logits).argmax(1).tolist()]
        shares = torch.from_numpy(logits).softmax(1).amax(1).tolist()
        assert best == [each.classes[0][0] for each in said]
        assert shares == pytest.approx([each.classes[0][1] for each in said], abs=1e-5)
    assert "differ by" in made.onnx and made.onnx in (made.folder / README).read_text()


def test_the_card_says_whose_the_data_are(fresh, written, tmp_path):
    model, said = fresh(), {"licence": "CC-BY-4.0", "title": "Apples of 2026", "citation": "Anna, 2026"}
    model.learn({"name": "manifest", "path": str(written("first", ["apple", "pear"])), **said})
    model.learn(written("autumn", ["plum"], seed=1), force=True)
    told = (model.export(tmp_path / "out").folder / README).read_text()
    assert "| 01-first | Apples of 2026 | CC-BY-4.0 |" in told and "- Anna, 2026" in told
    assert "| 02-autumn | Own data, named in a manifest | not stated |" in told and "- not stated" not in told


@pytest.mark.parametrize("method", ["ranpac", "ranpac-average", "slda"])
def test_onnx_has_a_rule_for_every_set_of_sensors(fresh, written, tmp_path, method):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = fresh(method=method, encoders={"features": "identity", "table": "identity"})
    model.learn(written("first", ["apple", "pear"]))
    model.learn(written("later", ["apple", "plum"], modality="table", seed=1), force=True)
    made = model.export(tmp_path / "out")
    assert "differ by" in made.onnx
    session = onnxruntime.InferenceSession(str(made.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    names = model.learned.class_names
    for there in ({"features"}, {"table"}, {"features", "table"}):
        given = {m: torch.tensor(POINTS).numpy() for m in ("features", "table")}
        given |= {f"{m}_present": torch.full((2,), m in there).numpy() for m in ("features", "table")}
        shares = torch.from_numpy(session.run(None, given)[0]).softmax(1)
        said = model.predict({m: POINTS if m in there else [None] * 2 for m in ("features", "table")}, top=3)
        for row, each in zip(shares.tolist(), said, strict=True):
            assert dict(zip(names, row, strict=True)) == pytest.approx(dict(each.classes), abs=1e-5)


def test_a_method_that_answers_by_itself_has_no_onnx_and_says_so(fresh, written, tmp_path):
    model = fresh(method="ncm")
    model.learn(written("first", ["apple", "pear"]))
    made = model.export(tmp_path / "out")
    assert made.onnx == "none: method 'ncm' does not tell classes by the model's own logits"
    assert not (made.folder / "model.onnx").exists()
    asked = {"features": POINTS}
    assert pm.Polymnia.from_pretrained(made.folder).predict(asked) == model.predict(asked)


def test_the_card_says_what_it_was_made_of(grown, tmp_path):
    text = (grown.export(tmp_path / "out").folder / README).read_text()
    assert text.startswith("---\nlibrary_name: polymnia\n")
    for part in ("01-first", "02-autumn", "apple, pear, plum", "`drop` 0.02", "`replay`", "| features |"):
        assert part in text, part
    [last] = [entry for entry in grown.history() if entry.what == "accepted"][-1:]
    for stage, score in last.scores.items():
        assert f"| {stage} |" in text and f"{score:.3f}" in text


def test_what_is_not_handed_on_stays(grown, tmp_path):
    folder = grown.export(tmp_path / "out").folder
    assert not [path for path in folder.rglob("*") if path.is_dir()]
    held = json.loads((folder / "config.json").read_text())
    assert "kept" not in json.dumps(held)
    with pytest.raises(StateError, match="there and not empty"):
        grown.export(folder)


def test_damage_is_named(grown, tmp_path):
    folder = grown.export(tmp_path / "out").folder
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StateError, match=r"model\.safetensors is damaged"):
        pm.Polymnia.from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(whole)
    (folder / "config.json").write_text((folder / "config.json").read_text().replace('"replay"', '"reploy"', 1))
    with pytest.raises(StateError, match=r"config\.json is damaged"):
        pm.Polymnia.from_pretrained(folder)


def test_nothing_learned_nothing_handed_on(fresh, tmp_path):
    with pytest.raises(StateError, match="has learned nothing yet"):
        fresh().export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_stopped_half_way_nothing_is_left(grown, tmp_path, monkeypatch):
    def broken(*_):
        raise SettingsError("stopped")

    monkeypatch.setattr("polymnia.growing.exporting.card", broken)
    with pytest.raises(SettingsError):
        grown.export(tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
