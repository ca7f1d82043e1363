"""A small experiment that trains in a second: fine-tuning at two rates, on digits in three stages."""

from pathlib import Path

import pytest
import yaml


@pytest.fixture
def given() -> dict:
    return {
        "title": "Two rates",
        "question": "Does a rate near zero forget less, because it learns less?",
        "seeds": [0, 1],
        "base": {
            "trainer": {"epochs": 1, "batch_size": 64, "count_flops": False, "log_steps": 1},
            "evaluation": {"subsets": False},
        },
        "streams": {"digits": {"stream": {"name": "digits", "stages": 3, "modalities": ["projections"]}}},
        "methods": {
            "quick": {"method": "finetune", "trainer": {"lr": 0.01}},
            "still": {"method": {"name": "finetune"}, "trainer": {"lr": 1e-7}},
        },
        "claims": [
            {"id": "learns-less", "says": "A rate near zero learns less.", "source": "ours",
             "metric": "learning_accuracy", "left": "still", "relation": "less", "right": "quick"},
            {"id": "learns-more", "says": "A rate near zero learns more.", "source": "ours",
             "metric": "learning_accuracy", "left": "still", "relation": "greater", "right": "quick"},
            {"id": "steps", "says": "Both take the same steps.", "source": "ours",
             "metric": "steps", "left": ["still", "quick"], "relation": "within", "right": "quick", "margin": 0.5},
        ],
    }  # fmt: skip


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that writes an experiment's file, in experiments/ of what is then the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(settings: dict, name: str = "rates") -> str:
        path = tmp_path / "experiments" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
        return name

    return write


@pytest.fixture
def record():
    """Return a function that makes the record of one run from a few figures."""

    def make(**figures: float) -> dict:
        return {"per_subset": {"image": 0.5, "image+text": 0.75}, **figures}

    return make
