"""Runs: stopped anywhere and gone on with, they are the same run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polymnia.errors import DiskFull, Interrupted, SettingsError, StateError
from polymnia.evaluation.scores import read_scores, repeatable
from polymnia.training.folder import read_settings
from polymnia.training.run import Run, prepare, resume
from polymnia.training.settings import run_settings

PLAIN = {
    "stream": {"name": "digits", "stages": 3},
    "model": {"name": "classifier", "width": 16, "dropout": 0.1},
    "trainer": {"epochs": 2, "batch_size": 64, "lr": 0.003, "schedule": "cosine", "clip": 1.0, "patience": 1},
}


def settings(**changed):
    plain = {**PLAIN, **changed}
    plain["trainer"] = {**PLAIN["trainer"], **changed.get("trainer", {})}
    return run_settings(plain)


@pytest.fixture(scope="module")
def stream():
    return prepare(settings())


class StopAt:
    """Asks a run to stop after a number of steps."""

    def __init__(self, run: Run, step: int) -> None:
        self.run, self.left, self.pause = run, step, run.trainer.pause
        run.trainer.pause = self

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.run._ask_to_stop(signal.SIGINT, None)
        self.pause()


def plain_scores(folder: Path) -> dict:
    return repeatable(json.loads((folder / "scores.json").read_text()))


@pytest.mark.parametrize("method", ["finetune", {"name": "replay", "memory": 30}, {"name": "ewc", "strength": 5.0}])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_scores_and_weights(tmp_path, stream, method):
    given = settings(method=method)
    whole = Run(given, tmp_path / "whole", stream=stream).go()
    steps = sum(cost.steps for cost in whole.cost) + 2 * 3  # a pause after each step and each epoch
    for stop in range(1, steps, 7):
        folder = tmp_path / f"stopped-{stop}"
        run = Run(given, folder, stream=stream)
        StopAt(run, stop)
        try:
            run.go()
        except Interrupted as said:
            assert f"polymnia resume {folder}" in str(said)
        Run(given, folder, stream=stream).go()
        assert plain_scores(folder) == plain_scores(tmp_path / "whole")


def test_a_finished_run_is_not_run_again(tmp_path, stream):
    first = Run(settings(), tmp_path, stream=stream).go()
    before = (tmp_path / "events.jsonl").read_text()
    assert resume(tmp_path) == first
    assert (tmp_path / "events.jsonl").read_text() == before


def test_a_folder_holds_one_run(tmp_path, stream):
    Run(settings(), tmp_path, stream=stream).go()
    with pytest.raises(SettingsError, match="seed is 0 there and 1 here"):
        Run(settings(seed=1), tmp_path, stream=stream).go()


def test_a_damaged_state_is_named(tmp_path, stream):
    Run(settings(), tmp_path, stream=stream).go()
    path = next((tmp_path / "state").glob("*/tensors.safetensors"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"tensors\.safetensors is damaged"):
        resume(tmp_path)


def test_changed_settings_are_found(tmp_path, stream):
    Run(settings(), tmp_path, stream=stream).go()
    path = tmp_path / "settings.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(StateError, match=r"settings\.json is damaged"):
        resume(tmp_path)


def test_not_a_run(tmp_path):
    with pytest.raises(StateError, match="is not a run"):
        read_settings(tmp_path)
    with pytest.raises(StateError, match="has not finished a stage"):
        read_scores(tmp_path)


def test_scores_are_valid_and_say_what_each_stage_cost(tmp_path, stream):
    scores = Run(settings(evaluation={"ahead": True}), tmp_path, stream=stream).go()
    assert read_scores(tmp_path) == scores
    assert len(scores.matrix) == len(scores.stages) == len(scores.cost) == 3
    assert set(scores.per_subset) == {
        "pixels", "projections", "spectrum", "pixels+projections", "pixels+spectrum", "projections+spectrum",
        "pixels+projections+spectrum",
    }  # fmt: skip
    assert scores.forward_transfer is not None and scores.before
    for cost in scores.cost:
        assert cost.flops > 0 and cost.steps > 0 and cost.disk_bytes > 0 and cost.trainable_parameters > 0
    assert scores.cost[1].added_parameters > 0  # the head grew
    assert (tmp_path / "stages" / scores.stages[0] / "tensors.safetensors").is_file()


def test_flops_are_those_of_the_multiplications(tmp_path, stream):
    """Three projectors and a head, forward and both gradients; the mean over three modalities forward and back."""
    scores = Run(settings(method="finetune"), tmp_path, stream=stream).go()
    rows, width, classes = 64, 16, len(stream[0].classes)
    inputs = sum(stream[0].widths.values())
    # layer normalisation has weights, so the projectors' input gradients are asked for too
    step = 3 * 2 * rows * (inputs * width + width * classes) + 2 * 2 * rows * 3 * width
    assert scores.cost[0].flops == step * scores.cost[0].steps


def test_task_identity_can_only_help(tmp_path, stream):
    without = Run(settings(), tmp_path / "without", stream=stream).go()
    with_it = Run(settings(evaluation={"task_identity": True}), tmp_path / "with", stream=stream).go()
    assert with_it.metric == "accuracy (stage given)"
    assert with_it.final_average > without.final_average
    assert with_it.weights_sha256 == without.weights_sha256


def test_trackers_get_the_figures(tmp_path, stream, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    Run(settings(trackers=["tensorboard", "mlflow", "wandb"]), tmp_path, stream=stream).go()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert len(board.Scalars("accuracy/stage-1")) == 3
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(tmp_path / "mlflow").as_uri())
    found = client.search_runs([client.get_experiment_by_name("polymnia").experiment_id])
    assert found[0].info.status == "FINISHED" and "accuracy/stage-3" in found[0].data.metrics
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))


COMMAND = [sys.executable, "-m", "polymnia"]


def quick(folder: Path, *extra: str, method: str = "replay") -> list[str]:
    path = folder.parent / "settings.yaml"
    path.write_text(json.dumps({**PLAIN, "method": {"name": method}}))
    return [*COMMAND, "run", str(path), *extra, "--out", str(folder)]


def test_ctrl_c_stops_cleanly_says_how_to_go_on_and_goes_on(tmp_path):
    Run(run_settings({**PLAIN, "method": {"name": "replay"}}), tmp_path / "whole").go()
    long = subprocess.Popen(quick(tmp_path / "cut"), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "cut" / "stream.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    long.send_signal(signal.SIGINT)
    _, said = long.communicate(timeout=60)
    if long.returncode:  # a fast machine may have finished
        assert long.returncode == 130 and "Traceback" not in said, said
        assert "polymnia resume" in said or "run the same command again" in said
    subprocess.run([*COMMAND, "resume", str(tmp_path / "cut")], check=True, capture_output=True)
    assert plain_scores(tmp_path / "cut") == plain_scores(tmp_path / "whole")


def test_two_processes_give_what_one_gives(tmp_path):
    """Without dropout, whose masks each process draws for its own rows; for every method, see test_two_processes."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    same = ["model.dropout=0", "method.memory=50"]
    subprocess.run(quick(tmp_path / "one", *same, method="der++"), check=True, capture_output=True, env=env)
    two = quick(tmp_path / "two", *same, "trainer.devices=2", "trainer.accelerator=cpu", method="der++")
    done = subprocess.run(two, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, both = read_scores(tmp_path / "one"), read_scores(tmp_path / "two")
    assert both.matrix == one.matrix
    assert [c.steps for c in both.cost] == [c.steps for c in one.cost]


def test_a_full_disk_ends_the_run_with_the_last_good_state_intact(tmp_path, stream):
    code = """
import json, resource, signal, sys
from pathlib import Path
from polymnia.training.run import Run, prepare
from polymnia.training.settings import run_settings
from polymnia.errors import DiskFull
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
given = run_settings(json.loads(sys.argv[2]))
run = Run(given, Path(sys.argv[1]))
stop = run._one
def one(stage):
    if stage.index == 2:  # from here on no file may grow past this size
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    stop(stage)
run._one = one
try:
    run.go()
except DiskFull as error:
    print(error)
"""
    plain = json.dumps({**PLAIN, "method": {"name": "finetune"}})
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "full"), plain], capture_output=True, text=True)
    assert "cannot write the run's state" in done.stdout and "The last good state is" in done.stdout, done.stderr
    resume(tmp_path / "full")
    Run(settings(method={"name": "finetune"}), tmp_path / "whole", stream=stream).go()
    assert plain_scores(tmp_path / "full") == plain_scores(tmp_path / "whole")
    assert issubclass(DiskFull, StateError)
