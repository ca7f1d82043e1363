"""The test sets that a model keeps: encoded, with what they looked like, so that later stages can be judged by them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polymnia.data.modality import MODALITIES
from polymnia.data.samples import Samples
from polymnia.data.stage import Kept, Outline
from polymnia.data.thumbnail import SEEN, thumbnail
from polymnia.data.tokens import Tokens
from polymnia.errors import DataError
from polymnia.state import Tree
from polymnia.training.checkpoint import load_state, save_state, write_atomic

GLIMPSES = "glimpses"
THUMBNAIL = 128
"""Pixels of the longer side of a kept thumbnail."""
SHOWN = 400
"""Characters of a text that are kept for display."""


def keep(folder: Path, test: Samples, *, raw: Samples, kinds: Mapping[str, str]) -> None:
    """Write a test set.

    Parameters
    ----------
    folder : Path
        Of this stage's test set.
    test : Samples
        Encoded.
    raw : Samples
        The same with their raw values, for what is shown; it may have more.
    kinds : Mapping
        Modality → kind of signal.
    """
    save_state(folder, tree(test))
    wanted = set(test.ids.tolist())
    shown: dict[str, dict[str, str]] = {}
    for row, name in enumerate(raw.ids.tolist()):
        if name in wanted:
            shown[name] = {m: _glimpse(value, kinds[m], folder, f"{row}-{m}") for m, value in raw[row].values.items()}
    write_atomic(folder / f"{GLIMPSES}.json", json.dumps(shown, ensure_ascii=False).encode())


def kept_stage(folder: Path, outline: Outline, had: Mapping[str, int], earlier: tuple[Kept, ...]) -> Kept:
    """Return a stage of which a test set was kept.

    Raises
    ------
    StateError
        The test set is damaged.
    """
    test = samples(load_state(folder))
    none = test.subset(torch.zeros(0, dtype=torch.int64))
    about = {name: getattr(outline, name) for name in ("index", "name", "task", "modalities", "classes", "widths")}
    return Kept(**about, train=none, valid=none, test=test, earlier=earlier, had=had)


def glimpses(folder: Path) -> dict[str, dict[str, str]]:
    """Return what kept samples looked like: id → modality → a text, or the name of a picture in the folder."""
    try:
        found: dict[str, dict[str, str]] = json.loads((folder / f"{GLIMPSES}.json").read_bytes())
    except (OSError, ValueError):
        return {}  # they are for looking at; nothing is judged by them
    return found


def tree(held: Samples) -> Tree:
    """Return encoded samples as a state."""
    columns = {m: column.compact() for m, column in held.values.items() if isinstance(column, Tokens)}
    return {
        "ids": held.ids.tolist(),
        "values": {m: {"flat": c.flat, "start": c.start, "length": c.length} for m, c in columns.items()},
        "present": dict(held.present),
        "targets": held.targets,
        "columns": {name: column.tolist() for name, column in held.columns.items()},
        "sequences": dict(held.sequences),
    }


def samples(state: Tree) -> Samples:
    """Return the encoded samples of a state."""
    return Samples(
        np.array(state["ids"], dtype=np.str_),
        {m: Tokens(c["flat"], c["start"], c["length"]) for m, c in state["values"].items()},
        state["present"],
        state["targets"],
        {name: np.array(column, dtype=np.str_) for name, column in state["columns"].items()},
        state["sequences"],
    )


def renumbered(held: Samples, numbers: Mapping[int, int]) -> Samples:
    """Return samples with other class indices; -1 stays."""
    most = max(numbers, default=-1)
    table = torch.full((most + 2,), -1)
    for old, new in numbers.items():
        table[old] = new
    return replace(held, targets=table[held.targets])


def _glimpse(value: Any, kind: str, folder: Path, name: str) -> str:
    """Keep what a value looks like: the text, a thumbnail's name, or the name of its file."""
    if kind == "text":
        return str(MODALITIES.get("text")().read(value))[:SHOWN]
    if kind in SEEN:
        try:
            pixels = MODALITIES.get(kind)().read(value)
        except DataError:
            return str(value)
        write_atomic(folder / f"{name}.jpg", thumbnail(np.asarray(pixels), side=THUMBNAIL))
        return f"{name}.jpg"
    return str(value)[:SHOWN] if isinstance(value, str | Path) else kind
