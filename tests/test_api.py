"""The library's verbs."""

import numpy as np
import pytest
import torch

import polymnia as pm
from polymnia.data.samples import Samples
from polymnia.data.stage import Card, Stage, Stream
from polymnia.errors import SettingsError


def test_settings_of_a_method_are_checked_where_they_are_written():
    assert pm.methods.Replay(memory=5) == {"name": "replay", "memory": 5, "draw": None, "policy": "reservoir"}
    with pytest.raises(SettingsError, match=r"no such setting of 'replay'. Did you mean 'memory'"):
        pm.methods.Replay(memry=5)
    with pytest.raises(AttributeError, match="Did you mean 'Replay'"):
        _ = pm.methods.Reply


def test_learning_is_the_command_s_run(tmp_path):
    stream = pm.stream("digits", stages=2, modalities=("pixels",))
    run = pm.learn(stream, out=tmp_path / "run", method=pm.methods.EWC(strength=1.0), trainer={"epochs": 1})
    assert run.scores.config["method"]["name"] == "ewc"
    assert pm.resume(tmp_path / "run").scores == run.scores
    assert run.report().is_file()


def by_hand(indices, classes):
    """Two stages made by hand of random numbers, class c around its own corner."""
    draws = np.random.default_rng(0)

    def samples(split):
        targets = torch.tensor(classes).repeat(8)
        values = draws.normal(size=(len(targets), 4)).astype(np.float32) + 5 * np.eye(4, dtype=np.float32)[targets]
        ids = np.array([f"{indices}-{split}-{i}" for i in range(len(targets))])
        return Samples(ids, {"sensor": values}, {"sensor": torch.ones(len(ids), dtype=torch.bool)}, targets)

    return {split: samples(split) for split in ("train", "valid", "test")}


def test_a_stream_made_by_hand(tmp_path):
    stages = [
        Stage(index=i, name=f"stage-{i}", modalities=("sensor",), classes=classes, **by_hand(i, list(classes)))
        for i, classes in enumerate([(0, 1), (2, 3)])
    ]
    card = Card(title="mine", licence="own", citation="none")
    names = ("a", "b", "c", "d")
    stream = Stream(
        name="mine", scenario="by hand", stages=tuple(stages), kinds={"sensor": "table"}, class_names=names, card=card
    )
    run = pm.learn(stream, out=tmp_path / "run", method="ncm")
    assert run.scores.final_average > 0.8
    with pytest.raises(SettingsError, match="made by hand; give that stream"):
        pm.resume(tmp_path / "run")
    assert pm.resume(tmp_path / "run", stream=stream).scores == run.scores
