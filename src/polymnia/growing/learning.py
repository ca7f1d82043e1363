"""A stage is proposed: learned beside the model in use, judged, and written down; nothing in use is touched."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from polymnia.data.handed import Handed, of_stage
from polymnia.data.own import source_of
from polymnia.data.samples import Samples
from polymnia.data.source import Source
from polymnia.data.stage import Kept, Outline, Stage
from polymnia.errors import SettingsError
from polymnia.growing.arriving import Arrived, Known, arrived
from polymnia.growing.book import Book, ModelFolder, slug
from polymnia.growing.gate import Limits, Verdict, judged
from polymnia.growing.indexing import index_like
from polymnia.growing.kept import keep, kept_stage
from polymnia.growing.page import write_verdict
from polymnia.growing.told import REQUEST, VERDICT
from polymnia.methods.base import METHODS
from polymnia.serving.loading import described, load
from polymnia.training.checkpoint import digest, write_atomic
from polymnia.training.folder import readable, write_json
from polymnia.training.run import Run
from polymnia.training.settings import RunSettings, run_settings
from polymnia.training.trainer import Event

KEPT = "kept"
ROWS = 1024
"""That are read at once."""
SHARED = ("stages", KEPT, "state")
"""What a version has in common with the one before it."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A stage that was learned and judged, and is not in use yet."""

    version: str
    stage: str
    verdict: Verdict
    data: Mapping[str, Any]
    lost: str = ""
    """Why it cannot be searched, where the version before it could."""

    @property
    def scores(self) -> dict[str, float | None]:
        """Stage → score after it."""
        return {each.stage: each.after for each in self.verdict.compared}


def settings_of(book: Book) -> RunSettings:
    """Return the settings of a model's runs."""
    return run_settings(dict(book.settings))


def proposed(
    model: ModelFolder,
    book: Book,
    data: Mapping[str, Any] | Stage,
    *,
    name: str,
    limits: Limits,
    shares: tuple[float, float] = (0.1, 0.2),
    listen: Callable[[Event], None] = lambda event: None,
) -> Proposal:
    """Learn a stage beside the model in use, and judge it; a proposal that was stopped half way is gone on with.

    Parameters
    ----------
    model, book
        The model's folder, held, and its book.
    data : Mapping or Stage
        The source of the new data with its settings, or the data.
    name : str
        Of the stage.
    limits : Limits
        What it may cost and must bring.
    shares : tuple of float
        Of the samples that validate and test, where the data has no splits of its own.
    listen : callable
        Gets the run's events.

    Raises
    ------
    DataError, SettingsError
        The data cannot be learned from; the model is as it was.
    Interrupted
        It was asked to stop; asked for the same again, it goes on.
    """
    settings, version = settings_of(book), book.next_version(name)
    before = None if not book.current else model.version(book.current)
    known = Known() if before is None else known_by(before)
    stage = f"{len(known.stages) + 1:02d}-{slug(name)}"
    source, told = _source(data, known)
    new = arrived(source, stage, known, settings, valid=shares[0], test=shares[1], listen=listen)
    work = model.proposed(version)
    _make_ready(work, before, _request(told, stage, book, new))
    run = Run(settings, work, stream=new.stream, listen=listen)
    scores = run.go()
    keep(work / KEPT / stage, new.stream.stages[-1].test, raw=new.raw_test, kinds=new.stream.kinds)
    earlier = None if before is None else load(before).method
    rows = settings.evaluation.batch_size
    verdict = judged(new.stream, earlier, run.method, limits, probes=scores.probes, batch_size=rows)
    write_json(work / VERDICT, {"version": version, "stage": stage, **verdict.to_json()})
    write_verdict(work, work / KEPT, verdict, version=version)
    lost = "" if before is None else index_like(before, model, work, listen=listen)
    return Proposal(version=version, stage=stage, verdict=verdict, data=told, lost=lost)


def _source(data: Mapping[str, Any] | Stage, known: Known) -> tuple[Source, dict[str, Any]]:
    """Return what loads the new data, and what is written down of it."""
    if isinstance(data, Stage):
        return Handed(of_stage(data, known.kinds)), {"name": Handed.name, "stage": data.name}
    return source_of(data), dict(data)


def known_by(version: Path) -> Known:
    """Return what a version has learned, with the test sets that it keeps."""
    about = described(version)
    stages: tuple[Kept, ...] = ()
    for told in about["stages"]:
        had = {split: told[split] for split in ("train", "valid", "test")}
        outline = Outline.from_line(json.dumps(told))
        stages = (*stages, kept_stage(version / KEPT / told["name"], outline, had, stages))
    return Known(stages=stages, class_names=tuple(about["class_names"]), kinds=about["kinds"])


def usable(settings: RunSettings) -> None:
    """Refuse what cannot be in use.

    Raises
    ------
    SettingsError
        The method looks back at every earlier sample, and a model in use keeps none.
    """
    kind = METHODS.get(settings.method["name"])
    if kind.looks_back:
        raise SettingsError(
            f"method {kind.name!r} opens every earlier sample again, and a model in use keeps test sets only. A method "
            "with a memory of its own does not: replay, der++, icarl"
        )


def _request(data: Mapping[str, Any], stage: str, book: Book, new: Arrived) -> dict[str, Any]:
    """Return what makes two proposals the same: one that was stopped is gone on with only if it is the same."""
    last = new.stream.stages[-1]
    held = {split: content(getattr(last, split)) for split in ("train", "valid", "test")}
    plain = {"data": dict(data), "stage": stage, "onto": book.current, "settings": book.settings, "samples": held}
    again: dict[str, Any] = json.loads(json.dumps(plain, default=str))
    return again


def content(samples: Samples) -> str:
    """Return a digest of encoded samples: a file that has changed since is another value, whatever its name."""
    words = {name: column.tolist() for name, column in samples.columns.items()}
    total = hashlib.sha256(json.dumps([samples.ids.tolist(), words], sort_keys=True).encode())
    for rows in torch.arange(len(samples)).split(ROWS):
        batch = samples.batch(rows)
        total.update(digest({each.name: getattr(batch, each.name) for each in fields(batch)}).encode())
    return total.hexdigest()


def _make_ready(work: Path, before: Path | None, request: Mapping[str, Any]) -> None:
    """Make a run folder that goes on where a version ended, or leave one that does so for the same request."""
    asked = f"{readable(request)}\n".encode()
    try:
        if (work / REQUEST).read_bytes() == asked:
            return
    except OSError:
        pass
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if before is not None:
        for part in SHARED:
            shutil.copytree(before / part, work / part, copy_function=_linked)
    write_atomic(work / REQUEST, asked)  # last: what has none is not ready


def _linked(source: str, target: str) -> None:
    """Share a file by a hard link where the file system has such; no file of a state is ever changed in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
