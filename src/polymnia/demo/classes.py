"""The demo's first part: real stamps, classes in five stages, five methods, one comparison."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polymnia.demo.folders import emptied
from polymnia.training.run import Run, prepare
from polymnia.training.settings import RunSettings, run_settings
from polymnia.training.trainer import Event

METHODS: tuple[dict[str, Any], ...] = (
    {"name": "finetune"},
    {"name": "replay", "memory": 200},
    {"name": "der++", "memory": 200},
    {"name": "ranpac"},
    {"name": "joint"},
)
STAMPS = {"name": "stamps", "scenario": "class-incremental", "stages": 5, "min_per_class": 20,
          "modalities": ["image", "text", "audio", "sound"], "language": "fr"}  # fmt: skip
DIGITS = {"name": "digits", "scenario": "class-incremental", "stages": 5}


def settings_for(method: dict[str, Any], stream: dict[str, Any], seed: int) -> RunSettings:
    """Return the settings of one of the demo's runs."""
    return run_settings(
        {
            "stream": stream,
            "model": {"name": "classifier", "width": 128, "fusion": "mean", "head": "linear"},
            "method": method,
            "trainer": {"epochs": 20, "batch_size": 32, "lr": 0.001},
            "seed": seed,
        }
    )


def learn_classes(
    out: Path, stream: dict[str, Any], *, seed: int, listen: Callable[[Event], None]
) -> tuple[dict[str, Any], list[Path]]:
    """Return what each method made of the stream, and the folders of the runs.

    Parameters
    ----------
    out : Path
        Where the folders go.
    stream : dict
        Settings of the stream.
    seed : int
        Of every run.
    listen : callable
        Gets events.
    """
    from polymnia.report.page import write_report

    encoded = prepare(settings_for(METHODS[0], stream, seed), listen=listen)
    rows, folders = [], []
    for method in METHODS:
        folder = emptied(out / method["name"].replace("+", "p"))
        began = time.perf_counter()
        scores = Run(settings_for(method, stream, seed), folder, stream=encoded, listen=listen).go()
        seconds = time.perf_counter() - began
        write_report(folder)
        folders.append(folder)
        rows.append({"method": method["name"], "final_average": scores.final_average, "forgetting": scores.forgetting,
                     "learning_accuracy": scores.learning_accuracy, "seconds": round(seconds, 2)})  # fmt: skip
    return {"rejected": len(encoded.rejected), "runs": rows}, folders
