import json

import pytest

from polymnia.errors import SettingsError
from polymnia.experiments.grid import planned
from polymnia.experiments.sweep import sweep


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "digits.yaml"
    path.write_text(
        "stream: {name: digits, stages: 2, modalities: [projections]}\n"
        "trainer: {epochs: 1, count_flops: false}\nevaluation: {subsets: false}\n"
    )
    return path


def test_the_grid_is_every_combination_and_shared_streams_stand_together(config):
    runs = planned(config, ["method.name=finetune,lwf", "stream.stages=2,5", "trainer.lr=0.01"], seeds=[0, 1])
    assert len(runs) == 8 and len({run.place for run in runs}) == 8
    assert str(runs[0].place) == "method.name=finetune,stream.stages=2/seed-0"
    met = [(run.settings.stream["stages"], run.seed) for run in runs]
    assert met == sorted(met, key=met.index) and len(dict.fromkeys(met)) == 4, "equal ones are next to each other"
    assert [met.index(each) for each in dict.fromkeys(met)] == [0, 2, 4, 6]
    assert {run.settings.trainer.lr for run in runs} == {0.01}
    paths = [str(run.place) for run in planned(config, ["stream.modalities=[projections],[pixels,spectrum]"])]
    assert len(set(paths)) == 2 and all("[" not in path for path in paths)


@pytest.mark.parametrize(
    ("grid", "seeds", "said"),
    [
        (["trainer.lr"], None, "no part of a grid"),
        (["trainer.lr=0.1,0.1"], None, "'0.1' stands twice"),
        (["trainer.lr=0.1,"], None, "a comma too many"),
        (["trainer.lrr=0.1"], None, "Did you mean 'lr'"),
        (["seed=0,1"], [0], "seed is given twice"),
        ([], [1, 1], "--seeds: '1' stands twice"),
        (["trainer.devices=2"], None, "a run of a sweep is one process"),
    ],
)
def test_what_is_not_accepted_is_said_before_anything_runs(config, tmp_path, grid, seeds, said):
    with pytest.raises(SettingsError, match=said):
        sweep(config, grid, seeds=seeds, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_runs_compares_and_does_nothing_twice(config, tmp_path, command):
    words = ["sweep", config, "trainer.lr=0.01,0.001", "--seeds", "0,1", "--out", tmp_path / "out"]
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert "4 runs" in done.stdout and "finetune trainer.lr=0.01" in done.stdout
    assert (tmp_path / "out" / "comparison.html").stat().st_size > 10_000
    folders = sorted(str(path.parent.relative_to(tmp_path / "out")) for path in tmp_path.rglob("scores.json"))
    assert folders == [f"trainer.lr={lr}/seed-{seed}" for lr in ("0.001", "0.01") for seed in (0, 1)]
    scores = tmp_path / "out" / folders[0] / "scores.json"
    before, when = json.loads(scores.read_text()), scores.stat().st_mtime_ns
    (tmp_path / "out" / folders[1] / "scores.json").unlink()
    again = command(*words)
    assert "4 runs, 3 of them done already" in again.stdout and again.returncode == 0
    assert scores.stat().st_mtime_ns == when and json.loads(scores.read_text()) == before
    assert command("sweep", config, "--engine", "rai").stderr.startswith("error: --engine: no such engine: 'rai'. Did")
    assert "write whole numbers" in command("sweep", config, "--seeds", "0-3").stderr
