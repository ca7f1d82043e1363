"""A model is handed on: one folder with what answering takes, and a card that says what it was made of."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Kept
from polymnia.errors import MissingExtra, StateError
from polymnia.growing.book import Book, ModelFolder
from polymnia.growing.card import Facts, Part, card
from polymnia.growing.exported import FILES, FORMAT
from polymnia.growing.learning import known_by
from polymnia.growing.told import lineage, verdict_of
from polymnia.serving.loading import Learned, described
from polymnia.serving.onnx import to_onnx, why_not
from polymnia.training.checkpoint import save_state, write_atomic

README, ONNX = "README.md", "model.onnx"
COMPARED = 256
"""Kept test samples at most that the ONNX file is compared on."""


@dataclass(frozen=True)
class HandedOn:
    """What was written.

    Parameters
    ----------
    folder : Path
        Where.
    onnx : str
        What was found when the ONNX file was compared, or why there is none.
    """

    folder: Path
    onnx: str


def export(model: ModelFolder, book: Book, learned: Learned, into: Path) -> HandedOn:
    """Write the version in use; see `Polymnia.export`.

    Earlier stages' states, test sets and thumbnails stay behind. What the method remembers goes along, for some
    methods answer by it; the card says how much.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise StateError(f"{into} is there and not empty; an exported model wants a folder of its own")
    work = into.with_name(f".{into.name}.{os.getpid()}.tmp")
    about = described(learned.folder)
    try:
        save_state(work, _tree(book, learned, about), files=FILES)
        told = _onnx(learned, known_by(learned.folder).stages, work / ONNX)
        facts = Facts(
            version=book.current,
            learned=learned,
            parts=tuple(_parts(model, book.current)),
            compared=verdict_of(learned.folder)["compared"],
            limits=book.limits,
            against=tuple(_overridden(book)),
            onnx=told,
        )
        write_atomic(work / README, card(facts).encode())
        if into.exists():
            into.rmdir()
        work.rename(into)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return HandedOn(into, told)


def _tree(book: Book, learned: Learned, about: dict[str, Any]) -> dict[str, Any]:
    state = {"model": learned.method.model.state_tree(), "method": learned.method.state_dict()}
    plain = {
        "format": FORMAT,
        "library_name": "polymnia",
        "version": book.current,
        "stage": learned.stage,
        "settings": asdict(learned.settings),
        "stream": about,
        "history": [asdict(entry) for entry in book.entries],
    }
    return {**json.loads(json.dumps(plain)), "learned": state}


def _onnx(learned: Learned, kept: tuple[Kept, ...], path: Path) -> str:
    reason = why_not(learned)
    if reason is not None:
        return f"none: {reason}"
    try:
        found = to_onnx(learned, path, _some(kept[-1].test))
    except MissingExtra as error:
        return f"none: {error}"
    return f"logits of {found.samples} test samples differ by {found.difference:.1e} at most"


def _some(test: Samples) -> Samples:
    return test.subset(torch.arange(min(COMPARED, len(test))))


def _parts(model: ModelFolder, version: str) -> Iterator[Part]:
    """Yield what each stage was learned from, oldest first."""
    for folder in lineage(model, version):
        about = described(folder)
        yield Part(stage=str(verdict_of(folder)["stage"]), card=about["card"], sizes=about["stages"][-1])


def _overridden(book: Book) -> Iterator[str]:
    """Yield what was accepted against a verdict."""
    for entry in book.entries:
        if entry.what == "overridden":
            yield f"{entry.version}, by {entry.by or 'somebody'}: {'; '.join(entry.why)}"
