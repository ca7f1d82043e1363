"""How the nearest vectors are found: exactly while rows are few, else through an approximate index."""

import json
from collections.abc import Sequence
from typing import Any

from polymnia.data.modality import Array

EXACT = 10_000
"""Up to so many rows a search looks at every one."""
MOST_SOURCES = 100
"""Of which one sample's value is looked up at most."""
PROBES = 20
"""Partitions that are searched, of the square root of the number of rows."""


def prepare(table: Any, *, rows: int, exact: int = EXACT) -> bool:
    """Give the newest version of a table the indices that it needs, and return whether search is approximate."""
    there = {index.name: index.columns for index in table.list_indices()}
    if rows <= exact:
        for name in there:
            table.drop_index(name)
        return False
    from lancedb.index import Bitmap, IvfFlat

    # Vectors as they are: quantised ones, compared again by the exact vectors, take more time and not less.
    table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=round(rows**0.5)))
    table.create_index("modality", config=Bitmap())
    return True


def warm(table: Any) -> None:
    """Read a table's approximate index into memory, which the first queries would otherwise do piece by piece."""
    for index in table.list_indices():
        if index.columns == ["vector"]:
            table.prewarm_index(index.name)


def nearest(
    table: Any, vector: Array, *, k: int, within: str | None = None, approximate: bool = True
) -> list[dict[str, Any]]:
    """Return what is known of the k rows whose vectors are nearest by cosine, best first, each with its `score`."""
    asked = table.search(vector, vector_column_name="vector").distance_type("cosine").limit(k)
    if within is not None:
        asked = asked.where(f"modality = {quoted(within)}", prefilter=True)
    if approximate:
        asked = asked.nprobes(PROBES)
    found = asked.select(["row", "_distance"]).to_list()
    return [{**json.loads(held["row"]), "score": 1.0 - held["_distance"]} for held in found]


def rows_of(table: Any, *, id: str, modality: str) -> list[dict[str, Any]]:
    """Return what is known of the rows of one value, of which each source may have one."""
    wanted = f"id = {quoted(id)} AND modality = {quoted(modality)}"
    found = table.search().where(wanted).select(["row"]).limit(MOST_SOURCES).to_list()
    return [json.loads(held["row"]) for held in found]


def beside(table: Any, ids: Sequence[str], *, modality: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what is known of some samples' values of a modality: (source, id) → row."""
    if not ids:
        return {}
    among = ", ".join(quoted(name) for name in dict.fromkeys(ids))
    found = table.search().where(f"modality = {quoted(modality)} AND id IN ({among})").select(["row"])
    rows = (json.loads(held["row"]) for held in found.limit(table.count_rows()).to_list())
    return {(row["source"], row["id"]): row for row in rows}


def quoted(text: str) -> str:
    """Return a text as a filter of LanceDB has it.

    Examples
    --------
    >>> quoted("o'clock")
    "'o''clock'"
    """
    return "'" + text.replace("'", "''") + "'"
