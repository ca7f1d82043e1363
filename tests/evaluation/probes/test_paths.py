"""The probe of old paths, over a space whose mediator gets a new path at each stage."""

import pytest
import torch

from polymnia.evaluation.evaluator import EvaluationSettings, Evaluator
from polymnia.evaluation.probes.paths import Paths, on_paths, paired
from polymnia.evaluation.retrieval import retrieved
from polymnia.methods.base import METHODS
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier
from polymnia.models.shared_space import SharedSpace
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import load_state, save_state
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer


def learned(stream, **parts):
    """Return a trainer over a space of digits, before its first stage."""
    model = SharedSpace(SharedSpace.Settings(width=16, mediator="pixels", **parts), seed=1)
    method = METHODS.get("finetune")(model, randomness=Randomness(1))
    return Trainer(method, TrainerSettings(epochs=2, batch_size=32, lr=0.01, count_flops=False))


def measured(stream, stages, **parts):
    trainer, probe = learned(stream, **parts), Paths()
    found = []
    for stage in stream.stages[:stages]:
        trainer.method.model.grow(stage)
        trainer.fit(stage)
        found.append(probe.measure(trainer.method, stream, stage))
    return trainer.method, found


def test_frozen_paths_are_the_same_to_the_last_bit_though_the_newest_one_moves(pairs_of_digits):
    method, found = measured(pairs_of_digits, 2, adapter="stage-experts", freeze=True)
    first, second = found
    assert "identical" not in first and [row["identical"] for row in first["table"]] == [None, None]
    assert second["identical"] == second["identical pixels"] == second["identical projections"] == 1.0
    old = [row for row in second["table"] if row["stage"] == "01-projections"]
    assert [row["R@10"] for row in old] == [row["R@10 then"] for row in old] == [row["R@10"] for row in first["table"]]
    samples = paired(pairs_of_digits[0])
    through = on_paths(method, samples, 0)
    assert old[0]["R@10"] == retrieved(through["pixels"], through["projections"], ks=(10,))[0].recall[10]
    newest = method.predict(samples.batch(torch.arange(len(samples)))).representations
    assert not torch.equal(newest["pixels"], through["pixels"])
    assert torch.equal(newest["projections"], through["projections"])


def test_a_path_that_is_trained_on_is_told(pairs_of_digits):
    _, found = measured(pairs_of_digits, 2, adapter="stage-experts")
    assert found[1]["identical pixels"] == 0.0 == found[1]["identical"] and found[1]["identical projections"] == 1.0
    assert {row["identical"] for row in found[1]["table"] if row["stage"] == "01-projections"} == {0.0}


def test_a_model_that_has_no_space_has_nothing_to_measure(digits):
    method = Finetune(Classifier())
    method.model.grow(digits[0])
    assert Paths().measure(method, digits, digits[0]) == {}


def test_a_resumed_run_measures_the_same(pairs_of_digits, tmp_path):
    trainer = learned(pairs_of_digits, adapter="stage-experts", freeze=True)
    wanted = EvaluationSettings(probes=("paths",))
    whole, again = (Evaluator(trainer.method, pairs_of_digits, wanted) for _ in range(2))
    for stage in pairs_of_digits.stages[:2]:
        trainer.method.model.grow(stage)
        trainer.fit(stage)
        if stage.index:
            save_state(tmp_path / "state", whole.state_dict())
        whole.after(stage)
    again.load_state_dict(load_state(tmp_path / "state"))
    again.after(pairs_of_digits[1])
    assert again.figures()["probes"] == whole.figures()["probes"]
    assert whole.figures()["probes"]["paths"]["identical by stage"] == [None, 1.0]
    assert whole.figures()["probes"]["paths"]["R@10"] == pytest.approx(
        sum(row["R@10"] for row in whole.figures()["probes"]["paths"]["table"]) / 4
    )
