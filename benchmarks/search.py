"""Nearest neighbours in a million embeddings: our LanceDB index against exact search and faiss, in one process."""

import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tables

ROWS, WIDTH, QUERIES, K, THREADS = 1_000_000, 256, 200, 10, 2
CLUSTERS, INTRINSIC = 1000, 32
RECALL, MILLISECONDS = 0.95, 10.0
BLOCK = 50_000
PACKAGES = ("numpy", "torch", "lancedb", "faiss-cpu")

Ask = Callable[[np.ndarray], np.ndarray]
"""From a query (D,) to the row numbers of the nearest (K,)."""


def embeddings(rows: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return made-up embeddings (N, D) and queries (Q, D), all of length 1.

    A mixture of Gaussians in 32 of 256 dimensions, with a little noise in all of them: learned embeddings lie in
    clusters near a surface of few dimensions. Queries are members, moved.
    """
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(random.normal(size=(WIDTH, INTRINSIC)))[0].T.astype(np.float32)
    centres = random.normal(size=(CLUSTERS, INTRINSIC)).astype(np.float32)
    held = np.empty((rows, WIDTH), np.float32)
    for first in range(0, rows, BLOCK):
        n = min(BLOCK, rows - first)
        inside = centres[random.integers(CLUSTERS, size=n)] + 0.5 * random.standard_normal((n, INTRINSIC), np.float32)
        held[first : first + n] = inside @ basis + 0.05 * random.standard_normal((n, WIDTH), np.float32)
    queries = held[random.choice(rows, QUERIES, replace=False)]
    queries = queries + 0.1 * random.standard_normal(queries.shape, np.float32)
    return tuple(part / np.linalg.norm(part, axis=1, keepdims=True) for part in (held, queries))  # type: ignore[return-value]


def by_numpy(held: np.ndarray, folder: Path) -> tuple[Ask, int]:
    def ask(query: np.ndarray) -> np.ndarray:
        scores = held @ query
        best = np.argpartition(scores, -K)[-K:]
        return best[np.argsort(-scores[best])]

    return ask, held.nbytes


def by_torch(held: np.ndarray, folder: Path) -> tuple[Ask, int]:
    import torch

    table = torch.from_numpy(held)
    return lambda query: (table @ torch.from_numpy(query)).topk(K).indices.numpy(), held.nbytes


def by_faiss(kind: str) -> Callable[[np.ndarray, Path], tuple[Ask, int]]:
    def build(held: np.ndarray, folder: Path) -> tuple[Ask, int]:
        import faiss

        faiss.omp_set_num_threads(THREADS)
        lists = max(1, int(len(held) ** 0.5))
        index = faiss.index_factory(WIDTH, kind.format(lists=lists), faiss.METRIC_INNER_PRODUCT)
        index.train(held[: 64 * lists] if kind.startswith("IVF") else held)
        index.add(held)
        if kind.startswith("IVF"):
            index.nprobe = 32
        else:
            index.hnsw.efSearch = 64
        path = folder / "faiss"
        faiss.write_index(index, str(path))
        return lambda query: index.search(query[None], K)[1][0], path.stat().st_size

    return build


def by_polymnia(held: np.ndarray, folder: Path) -> tuple[Ask, int]:
    """The table as `polymnia index` writes it, with the columns that a search gives back."""
    import lancedb

    from polymnia.serving.nearest import nearest, prepare, warm
    from polymnia.serving.table import rows, schema
    from polymnia.training.checkpoint import folder_bytes

    table = lancedb.connect(folder / "lance").create_table("samples", schema=schema(WIDTH))
    for first in range(0, len(held), BLOCK):
        part = held[first : first + BLOCK]
        n = len(part)
        same = {"value": "a made-up value", "label": "a class", "source": "made up", "split": "train", "stage": "01"}
        words = {name: [word] * n for name, word in same.items()}
        words |= {"id": [str(first + at) for at in range(n)]}
        words |= {"modality": ["image" if at % 2 else "text" for at in range(n)]}
        table.add(rows(words, part))
    approximate = prepare(table, rows=len(held))
    warm(table)

    def ask(query: np.ndarray) -> np.ndarray:
        found = nearest(table, query, k=K, approximate=approximate)
        return np.array([int(row["id"]) for row in found])

    return ask, folder_bytes(folder / "lance")


WAYS = {
    "polymnia (LanceDB, IVF-Flat)": by_polymnia,
    "exact, numpy": by_numpy,
    "exact, torch": by_torch,
    "faiss, IVF-Flat": by_faiss("IVF{lists},Flat"),
    "faiss, HNSW": by_faiss("HNSW16,Flat"),
}


def measure(*, rows: int = ROWS, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Build every way over the same vectors and ask it the same queries, one at a time."""
    import torch

    torch.set_num_threads(THREADS)
    held, queries = embeddings(rows)
    exact = by_numpy(held, Path())[0]
    wanted = [set(exact(query).tolist()) for query in queries]
    found = []
    for name, build in WAYS.items():
        folder = Path(tempfile.mkdtemp(prefix="polymnia-search-"))
        try:
            began = time.perf_counter()
            ask, size = build(held, folder)
            built = time.perf_counter() - began
            found.append({"what": name, "build_seconds": round(built, 1), "bytes": size, **asked(ask, queries, wanted)})
        finally:
            shutil.rmtree(folder)
        say(f"search: {found[-1]}")
    ours = found[0]
    return {
        "rows": found, "vectors": rows, "width": WIDTH, "queries": QUERIES, "k": K, "threads": THREADS,
        "clusters": CLUSTERS, "intrinsic": INTRINSIC, "goal": {"recall": RECALL, "median_ms": MILLISECONDS},
        "met": ours["recall"] >= RECALL and ours["median_ms"] < MILLISECONDS,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }  # fmt: skip


def asked(ask: Ask, queries: np.ndarray, wanted: list[set[int]]) -> dict[str, float]:
    """Return recall and latency, after a few queries that only warm caches."""
    for query in queries[:10]:
        ask(query)
    taken, hits = [], 0
    for query, right in zip(queries, wanted, strict=True):
        began = time.perf_counter()
        answer = ask(query)
        taken.append(1000 * (time.perf_counter() - began))
        hits += len(set(answer.tolist()) & right)
    return {
        "recall": round(hits / (K * len(queries)), 4),
        "median_ms": round(float(np.median(taken)), 2),
        "p95_ms": round(float(np.percentile(taken, 95)), 2),
    }


if __name__ == "__main__":
    results = measure(rows=int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
    print(tables.search(results))
