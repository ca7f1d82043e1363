"""How the nearest vectors are found: exactly while rows are few, else through an approximate index."""

from typing import Any

from polymnia.data.modality import Array

EXACT = 10_000
"""Up to so many rows a search looks at every one."""
PARTITION = 100_000
"""Rows that one partition of the index holds, about: few and large ones, for a graph is searched in each."""
NEIGHBOURS, CONSTRUCTION = 16, 100
"""Of the graph: links a node, and how many candidates are looked at when it is built."""
PROBES, REFINED = 20, 2
"""Partitions that are searched, and how many times k candidates are compared again by their exact vectors."""


def prepare(table: Any, *, rows: int, exact: int = EXACT) -> bool:
    """Give the newest version of a table the indices that it needs, and return whether search is approximate."""
    there = {index.name: index.columns for index in table.list_indices()}
    if rows <= exact:
        for name in there:
            table.drop_index(name)
        return False
    from lancedb.index import Bitmap, HnswSq

    partitions = max(1, rows // PARTITION)
    graph = HnswSq(distance_type="cosine", num_partitions=partitions, m=NEIGHBOURS, ef_construction=CONSTRUCTION)
    table.create_index("vector", config=graph)
    table.create_index("modality", config=Bitmap())
    return True


def nearest(
    table: Any, vector: Array, *, k: int, columns: list[str], within: str | None = None, approximate: bool = True
) -> list[dict[str, Any]]:
    """Return the k rows whose vectors are nearest by cosine, best first, each with its `score`."""
    asked = table.search(vector, vector_column_name="vector").distance_type("cosine").limit(k)
    if within is not None:
        quoted = within.replace("'", "''")
        asked = asked.where(f"modality = '{quoted}'", prefilter=True)
    if approximate:
        asked = asked.nprobes(PROBES).refine_factor(REFINED)
    found = asked.select([*columns, "_distance"]).to_list()
    return [{**{name: row[name] for name in columns}, "score": 1.0 - row["_distance"]} for row in found]
