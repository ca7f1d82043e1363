"""A model over real pictures and captions to put under load, and the service over it in a process of its own."""

import csv
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

FIRST, SECOND = ("animals", "food", "household", "symbols", "town"), ("clothes", "people", "plants", "vehicles")
"""Classes of the stage in use, and of the one that is accepted meanwhile."""
EACH = 24
"""Samples a class."""
ENCODERS = {"image": "efficientnet-lite0", "text": "minilm"}
LIMITS = {"rate": 1_000_000, "burst": 1_000_000}
"""Clients share an address here, so that the limit of requests from one address is out of the way."""
SECONDS = 120
"""Within which the service must answer at first."""


@dataclass(frozen=True)
class Served:
    """A model folder with a version in use and one that waits.

    Parameters
    ----------
    folder : Path
        Of the model.
    versions : tuple
        In use, waiting.
    pictures, texts : list
        What to ask by.
    origin : str
        "stamps", or "made" where they are not on this machine.
    rows : int
        Of the index in use.
    """

    folder: Path
    versions: tuple[str, str]
    pictures: list[bytes]
    texts: list[str]
    origin: str
    rows: int


def made(folder: Path) -> Served:
    """Return a model that has learned one stage, with another kept aside; both are indexed."""
    from polymnia.growing.polymnia import Polymnia
    from polymnia.serving.content import read_data
    from polymnia.serving.index import build_index

    origin, samples = _samples(folder)
    trainer = {"epochs": 5, "count_flops": False}
    model = Polymnia.new(folder / "model", encoders=ENCODERS, method="replay", trainer=trainer)
    manifests = [_manifest(folder / f"{name}.csv", samples, classes) for name, classes in
                 (("first", FIRST), ("second", SECOND))]  # fmt: skip
    first = model.learn(manifests[0])
    content = [read_data(str(path), [])[1] for path in manifests]
    rows = build_index(first.folder, content[0]).rows
    second = model.learn(manifests[1], ask=True)
    build_index(second.folder, content[1])
    shown = [sample for sample in samples if sample[2] in FIRST][::3]
    pictures, texts = [Path(path).read_bytes() for path, _, _ in shown], [caption for _, caption, _ in shown]
    return Served(model.folder.path, (first.version, second.version), pictures, texts, origin, rows)


def _samples(folder: Path) -> tuple[str, list[tuple[str, str, str]]]:
    """Return the origin, and (picture, caption, class) of each sample."""
    from polymnia.data.sources.stamps import Stamps
    from polymnia.errors import DataError

    try:
        held = Stamps(Stamps.Settings(modalities=("image", "text"), max_per_class=EACH, deduplicate=True)).load()
    except DataError:
        return "made", _drawn(folder)
    names = [held.class_names[target] for target in held.samples.targets.tolist()]
    values = (held.samples.values["image"], held.samples.values["text"])
    there = (held.samples.present["image"] & held.samples.present["text"]).tolist()
    rows = zip(*values, names, there, strict=True)
    kept = [(str(p), str(t), name) for p, t, name, both in rows if both and name in FIRST + SECOND]
    return "stamps", [row for row in kept if row[0].endswith(".png")]


def _drawn(folder: Path) -> list[tuple[str, str, str]]:
    """Return pictures of noise around a colour a class, where there are no stamps."""
    from PIL import Image

    random, rows = np.random.default_rng(0), []
    for label in FIRST + SECOND:
        colour = random.integers(0, 256, 3)
        for number in range(EACH):
            pixels = np.clip(colour + random.normal(0, 40, (96, 96, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{label}-{number}.png")
            rows.append((str(folder / f"{label}-{number}.png"), f"{label}, number {number}", label))
    return rows


def _manifest(path: Path, samples: list[tuple[str, str, str]], classes: tuple[str, ...]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "text", "label"])
        writer.writerows(sample for sample in samples if sample[2] in classes)
    return path


@contextmanager
def service(folder: Path) -> Iterator[int]:
    """Run `polymnia serve` over a model on a free port of loopback, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    limits = [f"{name}={value}" for name, value in LIMITS.items()]
    command = [sys.executable, "-m", "polymnia", "serve", str(folder), "--port", str(port), *limits]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        _answers(port, running)
        yield port
    finally:
        running.terminate()
        running.wait(timeout=30)


def _answers(port: int, running: Any) -> None:
    """Wait until the service answers."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and running.poll() is None:
        line = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            line.request("GET", "/health")
            if line.getresponse().status == 200:
                return
        except OSError:  # it does not listen yet
            time.sleep(0.1)
        finally:
            line.close()
    raise RuntimeError("the service has ended" if running.poll() is not None else "the service does not answer")
