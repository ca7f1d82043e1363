"""A version is searched as the one before it was: an index of all that the model learned from goes with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from polymnia.data.handed import Handed
from polymnia.errors import PolymniaError, SettingsError
from polymnia.growing.book import ModelFolder
from polymnia.growing.told import lineage, request_of, verdict_of
from polymnia.serving.content import load_source
from polymnia.serving.index import build_index
from polymnia.serving.storage import is_remote
from polymnia.serving.table import indexed, place, read_about, where
from polymnia.training.trainer import Event

OWN = "own"
"""What an index calls the data that the model learned from."""


def data_of(model: ModelFolder, version: Path) -> dict[str, Any]:
    """Return the source of all that a version was learned from, its files where they were; ids begin with a stage.

    Raises
    ------
    SettingsError
        A stage was made in Python, and nothing says where its data are.
    """
    folders = [*lineage(model, str(request_of(version)["onto"])), version]
    told = [(verdict_of(folder)["stage"], request_of(folder)["data"]) for folder in folders]
    for stage, data in told:
        if data["name"] == Handed.name:
            raise SettingsError(f"stage {stage} was made in Python, and its raw data are not kept; give --data")
    return {"name": "together", "sources": [{**data, "called": stage} for stage, data in told], "merge_classes": True}


def index_like(
    before: Path, model: ModelFolder, version: Path, *, listen: Callable[[Event], None] = lambda event: None
) -> str:
    """Index a version if the one before it is indexed, and return "", or why it could not be.

    Parameters
    ----------
    before, version : Path
        Run folders: of the version in use, and of the one that may come into use.
    model : ModelFolder
        Whose they are.
    listen : callable
        Gets an event as values are embedded.
    """
    held = list(indexed(before).values())
    if not held:
        return ""
    if set(held[-1].rejected) != {OWN} or is_remote(place(before, read_about(where(before)))):
        return "the index before it is of other data than the model's own, or on object storage"
    try:
        data = load_source(data_of(model, version))
        build_index(version, data, name=OWN, progress=lambda modality, done, total: listen(
            {"kind": "encode", "name": modality, "done": done, "total": total}
        ))  # fmt: skip
    except PolymniaError as error:  # files may have gone since; the model answers all the same
        return str(error)
    return ""
