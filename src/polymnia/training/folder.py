"""A run folder: what is in it besides the state, and whether two runs are the same."""

import hashlib
import json
import platform
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from polymnia import __version__
from polymnia.data.stage import Stream
from polymnia.errors import SettingsError, StateError
from polymnia.methods.base import Method
from polymnia.models.base import Model
from polymnia.training.checkpoint import write_atomic
from polymnia.training.settings import RunSettings, run_settings
from polymnia.training.trackers import flat


def refuse_another(given: RunSettings, held: RunSettings, folder: Path) -> None:
    """Refuse to mix two runs in one folder; where a run is computed, and how often it is saved, may change."""
    free = {f"trainer.{name}" for name in ("checkpoint_seconds", "checkpoint_steps", "log_steps", "accelerator")}
    mine, its = (flat(json.loads(json.dumps(asdict(settings)))) for settings in (given, held))
    differ = sorted(name for name in (mine.keys() | its.keys()) - free if mine.get(name) != its.get(name))
    if differ:
        name = differ[0]
        raise SettingsError(
            f"{folder} holds a run with other settings: {name} is {its.get(name)} there and {mine.get(name)} here. "
            f"Give another --out, or remove the folder"
        )


def resolved(part: Model | Method) -> dict[str, Any]:
    """Return a part's name and all its settings, those left at their defaults too: defaults may change one day."""
    return {"name": part.name, **asdict(part.settings)}


def read_settings(folder: Path) -> RunSettings:
    """Return the settings of a run folder."""
    path = folder / "settings.json"
    try:
        return run_settings(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise StateError(f"{folder} is not a run: it has no settings.json") from None
    except (ValueError, SettingsError) as error:
        raise StateError(f"{path} is damaged: {error}") from None


def settings_digest(folder: Path) -> str:
    """Return the SHA-256 of the settings file, which every saved state carries along."""
    return hashlib.sha256((folder / "settings.json").read_bytes()).hexdigest()


def describe(stream: Stream) -> dict[str, Any]:
    """Return what a stream is, as JSON: its card, its stages and how many samples each has."""
    return {
        "name": stream.name,
        "scenario": stream.scenario,
        "kinds": dict(stream.kinds),
        "class_names": list(stream.class_names),
        "card": asdict(stream.card),
        "rejected": len(stream.rejected),
        "stages": [stage.to_json() | stage.sizes for stage in stream],
    }


def environment() -> dict[str, Any]:
    """Return the versions and the machine that a run depends on."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for package in ("torch", "numpy", "transformers", "lightning-fabric", "safetensors", "onnxruntime"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "polymnia": __version__,
        "python": sys.version.split()[0],
        "versions": versions,
        "system": platform.platform(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def count(model: torch.nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in model.parameters())


def peak_memory(device: torch.device) -> int:
    """Return the highest memory so far, in bytes: the device's where it counts, else the process's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def append_line(path: Path, line: str) -> None:
    """Add a line to a log; a log may lose its last line in a crash, and nothing depends on it."""
    with path.open("a") as file:
        file.write(line)


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a crash leaves the old content or the new."""
    write_atomic(path, f"{readable(content)}\n".encode())


def readable(content: Any, *, depth: int = 2, gap: str = "\n ") -> str:
    """Return JSON with one entry a line, two levels deep: a row of a matrix, a stage's cost.

    Examples
    --------
    >>> print(readable({"seed": 0, "matrix": [[1.0, None], [0.5, 1.0]]}))
    {
     "seed": 0,
     "matrix": [
      [1.0, null],
      [0.5, 1.0]
     ]
    }
    """
    if depth and content and isinstance(content, dict):
        lines = [f"{json.dumps(k, ensure_ascii=False)}: {readable(v, depth=depth - 1, gap=gap + ' ')}"
                 for k, v in content.items()]  # fmt: skip
    elif depth and isinstance(content, list) and any(isinstance(part, list | dict) for part in content):
        lines = [readable(part, depth=depth - 1, gap=gap + " ") for part in content]
    else:  # without `indent` json is written in C, 20 times faster
        return json.dumps(content, ensure_ascii=False)
    first, last = "{}" if isinstance(content, dict) else "[]"
    return f"{first}{gap}{f',{gap}'.join(lines)}{gap[:-1]}{last}"
