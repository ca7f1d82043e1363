"""What is loaded from a run folder is what was learned."""

import json

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from polymnia.data.sources.digits import Digits
from polymnia.encoders.cache import cache_root
from polymnia.errors import DataError, SettingsError, StateError
from polymnia.serving.loading import Passing, finished, load
from polymnia.training.run import Run, prepare
from polymnia.training.settings import run_settings


def test_vectors_are_the_representations_of_the_run_at_its_end(learned_run):
    learned = load(learned_run)
    stream = prepare(learned.settings)
    samples = stream.stages[1].test
    wanted = learned.method.predict(samples.batch(torch.arange(20))).representations["pixels"]
    raw = Digits().load().samples
    place = {name: row for row, name in enumerate(raw.ids.tolist())}
    values = raw.values["pixels"][[place[name] for name in samples.ids[:20].tolist()]]
    found = learned.embed({"pixels": values})["pixels"]
    assert found.vectors.dtype == np.float32 and found.rows.tolist() == list(range(20)) and not found.rejected
    np.testing.assert_allclose(found.vectors, normalize(wanted, dim=1).numpy(), atol=1e-6)


def test_loaded_weights_are_those_in_memory(tmp_path):
    run = Run(run_settings({"stream": {"name": "digits", "stages": 2}, "trainer": {"epochs": 1}}), tmp_path)
    run.go()
    held = load(tmp_path).method.model.state_dict()
    assert all(torch.equal(held[name], tensor) for name, tensor in run.method.model.state_dict().items())


def test_an_older_stage_has_other_weights_and_fewer_classes(learned_run):
    names = finished(learned_run)
    first, last = load(learned_run, stage=names[0]), load(learned_run)
    assert (first.stage, last.stage) == tuple(names) and (first.position, last.position) == (0, 1)
    assert first.method.model.head.classes < last.method.model.head.classes


def test_what_cannot_be_read_is_set_aside_and_the_rest_embedded(learned_run, tmp_path):
    good, cut = tmp_path / "good.npy", tmp_path / "cut.npy"
    np.save(good, np.ones(64, np.float32))
    cut.write_bytes(good.read_bytes()[:-8])
    found = load(learned_run).embed({"pixels": [cut, good, tmp_path / "gone.npy", np.full(64, np.nan)]})["pixels"]
    assert found.rows.tolist() == [1] and found.vectors.shape == (1, 16)
    assert sorted(found.rejected) == [0, 2, 3]
    assert "truncated" in found.rejected[0] and "no such file" in found.rejected[2] and "NaN" in found.rejected[3]


def test_nothing_given_gives_nothing(learned_run):
    found = load(learned_run).embed({"pixels": []})["pixels"]
    assert len(found.vectors) == 0 and len(found.rows) == 0


def test_wrong_modality_and_wrong_width_are_named(learned_run):
    learned = load(learned_run)
    with pytest.raises(SettingsError, match=r"no such modality: 'pixel'. Did you mean 'pixels'"):
        learned.embed({"pixel": [np.ones(64)]})
    with pytest.raises(DataError, match=r"10 wide, and .* 64 wide"):
        learned.embed({"pixels": [np.ones(10)]})


def test_a_method_without_representations_of_a_modality_gives_the_joint_one(tmp_path):
    settings = {"stream": {"name": "digits", "stages": 2}, "method": "ncm"}
    Run(run_settings(settings), tmp_path).go()
    assert load(tmp_path).embed({"pixels": [np.ones(64, np.float32)]})["pixels"].vectors.shape[0] == 1


def test_folders_that_are_no_finished_run(tmp_path, run):
    with pytest.raises(StateError, match="is not a run"):
        load(tmp_path)
    with pytest.raises(SettingsError, match="no such finished stage: '01-x'"):
        load(run, stage="01-x")
    with pytest.raises(SettingsError, match="no such finished stage"):
        load(run, stage="../state")
    tensors = run / "stages" / finished(run)[-1] / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"!")
    with pytest.raises(StateError, match="does not match its checksum"):
        load(run)
    about = json.loads((run / "stream.json").read_text())
    (run / "stream.json").write_text(json.dumps({k: v for k, v in about.items() if k != "kinds"}))
    with pytest.raises(StateError, match=r"stream.json is damaged: 'kinds'"):
        load(run)


def test_passing_keeps_nothing_and_gives_the_same(tmp_path, learned_run):
    from polymnia.encoders.base import ENCODERS
    from polymnia.encoders.cache import Cache
    from polymnia.encoders.columns import encode_columns

    kind = ENCODERS.get("shape-descriptors")
    clouds = np.empty(2, dtype=object)
    clouds[0], clouds[1] = (np.random.default_rng(seed).normal(size=(50, 3)).astype(np.float32) for seed in (0, 1))
    parts = [(clouds, torch.ones(2, dtype=torch.bool))]
    results = [
        encode_columns(parts, kind(), kind="point-cloud", pool=True, cache=c)[0][0] for c in (Passing(), Cache())
    ]
    passed, kept = (tokens.gather(torch.arange(2))[0] for tokens in results)
    assert torch.equal(passed, kept)
    folders = [path for path in (cache_root() / "features").iterdir()]
    assert len(folders) == 1  # the other one's
