"""A run's index: a LanceDB table, with one tagged version a stage, and in the run folder what is in it.

The table lies in the run folder too, or on object storage; then the folder has its address.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymnia.data.modality import Array
from polymnia.errors import StateError
from polymnia.serving.loading import weights_digest
from polymnia.serving.storage import connect, is_remote, open_table, unreachable
from polymnia.training.checkpoint import folder_bytes
from polymnia.training.folder import write_json

TABLE, ABOUT = "samples", "index.json"
WORDS = ("id", "modality", "value", "label", "source", "split", "stage")
"""What is said of a row."""


@dataclass(frozen=True)
class Indexed:
    """What an index holds of one stage.

    Parameters
    ----------
    stage, tag : str
        The stage, and the tag of the table's version that holds its vectors.
    weights : str
        SHA-256 of the stage's tensors, which the vectors were made with.
    dimension : int
        Of a vector.
    modalities : dict
        Modality → number of rows.
    approximate : bool
        Whether the version has an approximate index; without one, search is exact.
    rejected : dict
        Source → how many values were set aside when it was indexed last.
    """

    stage: str
    tag: str
    weights: str
    dimension: int
    modalities: dict[str, int]
    approximate: bool
    rejected: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(self.modalities.values())


def where(folder: Path) -> Path:
    """Return the folder of a run's index."""
    return folder / "index"


def place(folder: Path, about: Mapping[str, Any]) -> Path | str:
    """Return where the table is: the folder of a run's index, or an address."""
    return about.get("at") or where(folder)


def indexed(folder: Path) -> dict[str, Indexed]:
    """Return what a run's index holds, by stage, in the order of the stages."""
    found = [Indexed(**held) for held in read_about(where(folder))["stages"].values()]
    return {held.stage: held for held in sorted(found, key=lambda held: held.tag)}


def open_index(folder: Path, *, stage: str | None = None) -> tuple[Any, Indexed]:
    """Return the table at a stage's version, to be read only, and what is in it.

    Parameters
    ----------
    folder : Path
        A run folder.
    stage : str, optional
        The newest one that is indexed by default.

    Raises
    ------
    StateError
        There is no index, none of that stage, or the stage was learned again since.
    """
    held = indexed(folder)
    make = f"Make it: polymnia index {folder}" + (f" --stage {stage}" if stage else "")
    if not held:
        raise StateError(f"{folder} has no index yet. {make}")
    name = next(reversed(held)) if stage is None else stage
    if name not in held:
        raise StateError(f"{folder} has no index of stage {name!r}; it has {', '.join(held)}. {make}")
    if held[name].weights != weights_digest(folder, name):
        raise StateError(f"stage {name} of {folder} has been learned again since it was indexed. {make}")
    at = place(folder, read_about(where(folder)))
    try:
        table = open_table(connect(at), at, TABLE)
        if table is None:
            raise StateError(f"{at} has no table any more. Make it again: polymnia index {folder} --fresh")
        table.checkout(held[name].tag)
    except (RuntimeError, ValueError, OSError) as error:
        if is_remote(at):
            raise StateError(unreachable(at, error)) from None
        reason = str(error).splitlines()[0]
        raise StateError(f"{at} is damaged: {reason}. Remove it, then: polymnia index {folder}") from None
    return table, held[name]


def index_bytes(folder: Path) -> int:
    """Return how much of the disk a run's index takes, all its versions together; not what lies on object storage."""
    return folder_bytes(where(folder))


def schema(dimension: int) -> Any:
    """Return the columns of the table, for vectors of so many numbers."""
    import pyarrow as pa

    words = (*WORDS, "row")
    return pa.schema([*((word, pa.string()) for word in words), ("vector", pa.list_(pa.float32(), dimension))])


def rows(words: Mapping[str, Sequence[str | None]], vectors: Array) -> Any:
    """Return rows of the table: their words, the same again as the JSON that a search reads, and vectors (N, D).

    Reading one column of a hit takes about as long as reading another, so that a search reads one and not all.
    """
    import pyarrow as pa

    dimension = vectors.shape[1]
    each = zip(*(words[word] for word in WORDS), strict=True)
    lines = [json.dumps(dict(zip(WORDS, row, strict=True)), ensure_ascii=False) for row in each]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension)
    return pa.table({**words, "row": lines, "vector": flat}, schema=schema(dimension))


def read_about(folder: Path) -> dict[str, Any]:
    """Return what is said beside the table: what each stage's version holds, and which one is half done."""
    path = folder / ABOUT
    if not path.exists():
        return {"stages": {}, "building": None}
    try:
        about: dict[str, Any] = json.loads(path.read_bytes())
        _ = [Indexed(**held) for held in about["stages"].values()], about["building"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{path} is damaged: {error}. Remove {folder} and index again") from None
    return about


def save_about(folder: Path, about: dict[str, Any]) -> None:
    """Write what `read_about` returns."""
    write_json(folder / ABOUT, about)
