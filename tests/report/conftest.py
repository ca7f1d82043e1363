import json
import shutil

import pytest

from polymnia.training.run import Run, prepare
from polymnia.training.settings import run_settings


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Return a function that trains a small run on digits and returns its folder; equal settings train once."""
    root, made, streams = tmp_path_factory.mktemp("runs"), {}, {}

    def make(method="finetune", *, seed=0, **changes):
        key = json.dumps([method, seed, changes], sort_keys=True)
        if key not in made:
            given = {
                "stream": {"name": "digits", "stages": 3} | changes.get("stream", {}),
                "model": {"name": "classifier"},
                "method": {"name": method} if isinstance(method, str) else method,
                "trainer": {"epochs": 1, "lr": 0.003, "log_steps": 5, "count_flops": False}
                | changes.get("trainer", {}),
                "evaluation": changes.get("evaluation", {}),
                "seed": seed,
            }
            made[key] = root / f"{len(made):02d}-{given['method']['name']}-{seed}"
            settings, same = run_settings(given), json.dumps([given["stream"], seed], sort_keys=True)
            streams[same] = streams.get(same) or prepare(settings)
            Run(settings, made[key], stream=streams[same]).go()
        return made[key]

    return make


@pytest.fixture
def copied(tmp_path):
    """Return a function that copies a run folder's own files, so that a test may change them."""

    def copy(folder, name="run"):
        target = tmp_path / name
        target.mkdir()
        for path in folder.iterdir():
            if path.suffix in (".json", ".jsonl"):
                shutil.copy(path, target)
        return target

    return copy


@pytest.fixture
def changed():
    """Return a function that changes a JSON file in place: ``changed(path, lambda content: …)``."""

    def change(path, how):
        content = json.loads(path.read_text())
        how(content)
        path.write_text(json.dumps(content))

    return change
