"""A cluster of two workers on this machine computes what one process computes, though a worker is killed."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from polymnia.data.samples import Sample, Samples
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.cache import Cache
from polymnia.encoders.filling import fill
from polymnia.encoders.on_ray import OnRay
from polymnia.errors import SettingsError, StateError
from polymnia.evaluation.scores import repeatable
from polymnia.experiments.sweep import sweep

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'polymnia[ray]'")


@pytest.fixture(scope="module", autouse=True)
def held():
    """One cluster for all tests of this file."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def at_work(task: str) -> list[int]:
    """Return the processes that are doing a task of this test's own cluster."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "cmdline").read_bytes().startswith(f"ray::{task}".encode()):
                raylet = _parent(int(folder.name))
                found += [int(folder.name)] if _parent(raylet) == os.getpid() else []
        except OSError:  # it has ended meanwhile
            continue
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def killed(task: str, *, seconds: float = 60) -> int:
    """Kill one process while it does a task, and return which."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for pid in at_work(task):
            os.kill(pid, signal.SIGKILL)
            return pid
        time.sleep(0.002)
    raise AssertionError(f"nothing did {task} within {seconds} s")


def scores_of(folder: Path) -> dict:
    return json.loads((folder / "scores.json").read_text())


pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")


@pytest.mark.bundled("minilm")
def test_a_cache_filled_by_workers_is_that_of_one_process(tmp_path):
    words = [f"{'a very long way from ' * (i % 5)}home, {i}" for i in range(230)]
    values = [*words, *words[:10], b"\xff\xfe not a text"]
    samples = Samples.of([Sample(f"s{i}", {"note": value}, 0) for i, value in enumerate(values)])
    encoder, other, deaths = ENCODERS.get("minilm")(), ENCODERS.get("minilm")(), []
    encoder.batch_size = other.batch_size = 16

    begun = threading.Event()

    def kill_in_the_middle() -> None:
        begun.wait(timeout=120)
        deaths.append(killed("_encode"))

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    alone, spread = Cache(tmp_path / "alone"), Cache(tmp_path / "spread")
    one = fill([samples], {"note": encoder}, {"note": "text"}, cache=alone)
    two = fill([samples], {"note": other}, {"note": "text"}, cache=spread,
               encode=OnRay(2, batches=1), progress=lambda *_: begun.set())  # fmt: skip
    killer.join()
    assert len(deaths) == 1
    assert one["note"].to_json() == two["note"].to_json()
    assert (two["note"].computed, two["note"].found, set(two["note"].broken)) == (230, 0, {"s240"})
    files = [next((cache.folder).glob("*/tokens-*.f16")).read_bytes() for cache in (alone, spread)]
    assert len(files[0]) > 230 * 2 * encoder.width and files[0] == files[1]
    again = fill([samples], {"note": encoder}, {"note": "text"}, cache=spread)
    assert (again["note"].computed, again["note"].found) == (0, 230)


@pytest.mark.bundled("shape-descriptors")
def test_a_machine_that_does_not_see_a_file_is_named(tmp_path):
    there = tmp_path / "cloud.npy"
    np.save(there, np.zeros((8, 3), np.float32))
    encode, encoder = OnRay(1), ENCODERS.get("shape-descriptors")()
    from polymnia.data.modality import MODALITIES

    with pytest.raises(StateError, match=r"gone\.npy is not on .*under the same path"):
        list(encode({"a": there, "b": tmp_path / "gone.npy"}, encoder, MODALITIES.get("point-cloud")()))


def test_a_sweep_over_workers_has_the_scores_of_one_process(tmp_path):
    config = tmp_path / "digits.yaml"
    config.write_text(
        "stream: {name: digits, stages: 3, modalities: [projections]}\n"
        "trainer: {epochs: 6, batch_size: 16, count_flops: false, checkpoint_steps: 20}\n"
        "evaluation: {subsets: false}\n"
    )
    grid, heard, deaths = ["method.name=finetune,lwf", "trainer.lr=0.01"], [], []
    state = tmp_path / "ray" / "method.name=lwf" / "seed-0" / "state"

    def kill_once_one_has_saved() -> None:
        until = time.monotonic() + 60
        while not (state.is_dir() and list(state.glob("[0-9]*"))) and time.monotonic() < until:
            time.sleep(0.01)
        for pid in at_work("_do"):  # which of the two is the one that saved cannot be told from outside
            os.kill(pid, signal.SIGKILL)
            deaths.append(pid)

    killer = threading.Thread(target=kill_once_one_has_saved)
    killer.start()
    done = sweep(config, grid, out=tmp_path / "ray", engine="ray", jobs=2, listen=heard.append)
    killer.join()
    assert deaths and not done.missing
    assert "resumed" in [event["how"] for event in heard if event["kind"] == "begin"], (
        "it went on from its newest state"
    )
    assert [folder.parent.name for folder in done.folders] == ["method.name=finetune", "method.name=lwf"]
    local = sweep(config, grid, out=tmp_path / "local", jobs=1)
    for mine, its in zip(done.folders, local.folders, strict=True):
        assert repeatable(scores_of(mine)) == repeatable(scores_of(its))
    heard.clear()
    sweep(config, grid, out=tmp_path / "ray", engine="ray", jobs=2, listen=heard.append)
    assert heard == [{"kind": "sweep", "runs": 2, "left": 0}]


def test_an_error_of_a_run_is_that_of_one_process(tmp_path):
    config = tmp_path / "digits.yaml"
    config.write_text("stream: {name: digits, stages: 3, modalities: [projections]}\ntrainer: {epochs: 1}\n")
    done = sweep(config, ["stream.modalities=[smell],[projections]"], out=tmp_path / "r", engine="ray", jobs=1)
    assert len(done.folders) == 1 and "digits has no modality smell" in next(iter(done.missing.values()))
    settings = json.loads((done.folders[0] / "settings.json").read_text())
    assert settings["stream"]["modalities"] == ["projections"]
    with pytest.raises(SettingsError, match="workers: 0"):
        from polymnia.cluster import cluster

        with cluster(0):
            raise AssertionError
