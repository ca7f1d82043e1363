"""The demo: real stamps, five stages, five methods, one comparison."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polymnia.data.source import SOURCES
from polymnia.errors import DataError
from polymnia.training.checkpoint import write_atomic
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


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    path: Path | None = None,
    listen: Callable[[Event], None] = lambda event: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run the demo and return its summary, which is also in `summary.json`.

    Parameters
    ----------
    out : Path
        Where everything goes; what an earlier demo left there is replaced.
    seed : int
        Of every run.
    path : Path, optional
        An unpacked stamps folder.
    listen, say : callable
        Get events and lines.
    """
    from polymnia.report.compare import compare, write_comparison
    from polymnia.report.page import write_report

    stream = chosen_stream(path, say)
    say(f"encoding {stream['name']} (once; later runs read the cache)")
    encoded = prepare(settings_for(METHODS[0], stream, seed), listen=listen)
    rows, folders = [], []
    for method in METHODS:
        folder = out / method["name"].replace("+", "p")
        if (folder / "settings.json").exists():
            shutil.rmtree(folder)
        began = time.perf_counter()
        scores = Run(settings_for(method, stream, seed), folder, stream=encoded, listen=listen).go()
        seconds = time.perf_counter() - began
        write_report(folder)
        folders.append(folder)
        rows.append({"method": method["name"], "final_average": scores.final_average, "forgetting": scores.forgetting,
                     "learning_accuracy": scores.learning_accuracy, "seconds": round(seconds, 2)})  # fmt: skip
    report = write_comparison(compare(folders), out / "report.html")
    summary = {"stream": stream, "seed": seed, "rejected": len(encoded.rejected), "runs": rows, "report": str(report)}
    write_atomic(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    return summary


def chosen_stream(path: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the settings of the stamps stream, fetched if need be; where they cannot be had, of digits."""
    if path is not None:
        return {**STAMPS, "path": str(path)}
    source = SOURCES.get("stamps")
    try:
        if not source.available():
            say("fetching the stamps (161 MB, Debian package tuxpaint-stamps-default)")
            source.get()
    except DataError as error:
        say(f"the stamps cannot be had here: {error}\nusing scikit-learn's digits instead")
        return DIGITS
    return STAMPS
