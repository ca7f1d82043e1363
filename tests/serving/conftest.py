"""A tiny run over two sensors of the digits, and its index."""

import pytest

from polymnia.serving.index import build_index
from polymnia.training.run import Run
from polymnia.training.settings import run_settings

SETTINGS = {
    "stream": {"name": "digits", "stages": 2, "modalities": ["pixels", "spectrum"]},
    "model": {"name": "classifier", "width": 16},
    "method": {"name": "replay", "memory": 200},
    "trainer": {"epochs": 3, "batch_size": 64, "lr": 0.01},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def learned_run(tmp_path_factory):
    """The folder of a run of two stages; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    Run(run_settings(SETTINGS), folder).go()
    return folder


@pytest.fixture
def run(learned_run, tmp_path):
    """A copy of it."""
    import shutil

    return shutil.copytree(learned_run, tmp_path / "run")


@pytest.fixture(scope="session")
def indexed_run(learned_run, tmp_path_factory):
    """A copy with an index of both stages, the older one made last; not to be written to."""
    import shutil

    folder = shutil.copytree(learned_run, tmp_path_factory.mktemp("indexed") / "run")
    build_index(folder)
    first = sorted(path.name for path in (folder / "stages").iterdir())[0]
    build_index(folder, stage=first)
    return folder


PAIRS = {
    "stream": {"name": "digits", "modalities": ["pixels", "projections", "spectrum"], "scenario": "pairing",
               "mediator": "pixels", "order": ["projections", "spectrum"]},
    "model": {"name": "shared-space", "width": 32, "mediator": "pixels"},
    "method": {"name": "finetune"},
    "trainer": {"epochs": 8, "batch_size": 64, "lr": 0.003},
}  # fmt: skip


@pytest.fixture(scope="session")
def space_run(tmp_path_factory):
    """A run over a shared space, two stages of pairs, with an index; not to be written to."""
    folder = tmp_path_factory.mktemp("spaces") / "digits"
    Run(run_settings(PAIRS), folder).go()
    build_index(folder)
    return folder
