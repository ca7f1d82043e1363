"""The demo's questions: a recording of spoken French asks for pictures, through the run's index."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polymnia.randomness import derive
from polymnia.serving.index import build_index
from polymnia.serving.search import Searcher
from polymnia.serving.storage import lancedb

K, SHOWN, EACH = 10, 3, 3
ASKED, WITHIN = "audio", "image"


def asked(folder: Path, *, seed: int, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Fill a run's index, ask it by recordings of the test samples, and return what came back.

    All of them are ranked exactly from the index; shown are the three that find their picture best, and three that
    are drawn.

    Parameters
    ----------
    folder : Path
        A run folder with speech and pictures.
    seed : int
        What is drawn.
    say : callable
        Gets lines.

    Raises
    ------
    MissingExtra
        LanceDB is not installed.
    """
    lancedb()
    build_index(folder)
    searcher = Searcher(folder)
    rows = searcher.table.search().limit(searcher.indexed.rows).to_list()
    recordings = [row for row in rows if row["modality"] == ASKED and row["split"] == "test"]
    pictures = [row for row in rows if row["modality"] == WITHIN]
    captions = {row["id"]: row["value"] for row in rows if row["modality"] == "text"}
    places = ranks(recordings, pictures)
    recordings = [row for row in recordings if row["id"] in places]
    unseen = [row for row in pictures if row["split"] == "test"]
    among = ranks(recordings, unseen)
    found = {
        "pictures": len(pictures),
        "recordings": len(recordings),
        "recall": float(np.mean([places[row["id"]] <= K for row in recordings])),
        "chance": min(1.0, K / len(pictures)),
        "test pictures": len(unseen),
        "recall among test pictures": float(np.mean([rank <= K for rank in among.values()])),
        "chance among test pictures": min(1.0, K / len(unseen)),
        "median rank": float(np.median(list(places.values()))),
        "median rank by chance": (len(pictures) + 1) / 2,
        "shown": [],
        "commands": [
            f'polymnia search {folder} "a frog" --in {WITHIN}',
            f"polymnia search {folder} {recordings[0]['value']} --as {ASKED} --in {WITHIN}",
        ],
    }
    say(heading(found))
    for why, row in chosen(recordings, places, seed=seed):
        hits = searcher.search(Path(row["value"]), within=WITHIN, k=K, modality=ASKED)
        there = row["id"] in {hit.id for hit in hits}
        one = {"why": why, "file": row["value"], "says": captions[row["id"]], "rank": places[row["id"]],
               "right among ten": there, "found": [{"id": hit.id, "caption": captions[hit.id], "score": hit.score,
                                                    "right": hit.id == row["id"]} for hit in hits[:SHOWN]]}  # fmt: skip
        found["shown"].append(one)
        for line in lines(one):
            say(line)
    say("\n   Ask it yourself:")
    for command in found["commands"]:
        say(f"     {command}")
    return found


def ranks(recordings: list[dict[str, Any]], pictures: list[dict[str, Any]]) -> dict[str, int]:
    """Return sample → the rank of its picture for its recording; ties count against us."""
    at = {row["id"]: place for place, row in enumerate(pictures)}
    both = [row for row in recordings if row["id"] in at]
    scores = vectors(both) @ vectors(pictures).T  # (queries, pictures)
    right = scores[np.arange(len(both)), [at[row["id"]] for row in both]]
    before = (scores >= right[:, None]).sum(1)  # the right one itself is one of them
    return {row["id"]: int(rank) for row, rank in zip(both, before, strict=True)}


def vectors(rows: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Return the vectors (N, D) of an index's rows."""
    return np.array([row["vector"] for row in rows], dtype=np.float64)


def chosen(recordings: list[dict[str, Any]], places: dict[str, int], *, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """Return which recordings are shown, and why: the best, and some that are drawn from the others."""
    order = sorted(recordings, key=lambda row: (places[row["id"]], row["id"]))
    others = sorted(order[EACH:], key=lambda row: row["id"])
    random = np.random.default_rng(derive(seed, "demo", "queries"))
    drawn = random.choice(len(others), min(EACH, len(others)), replace=False).tolist()
    return [("best", row) for row in order[:EACH]] + [("drawn", others[at]) for at in drawn]


def heading(found: dict[str, Any]) -> str:
    """Return what is said of all recordings together."""
    return (
        f"\n   Spoken French asks the index for pictures, with which it was never paired: of {found['recordings']} "
        f"test recordings\n   {100 * found['recall']:.1f} % find theirs in the first {K} of {found['pictures']} "
        f"pictures (chance {100 * found['chance']:.1f} %); median rank {found['median rank']:.0f} "
        f"(chance {found['median rank by chance']:.0f}).\n   Among the {found['test pictures']} test pictures alone: "
        f"{100 * found['recall among test pictures']:.1f} % (chance {100 * found['chance among test pictures']:.1f} %)."
    )


def lines(one: dict[str, Any]) -> list[str]:
    """Return what is said of one recording."""
    right = "yes" if one["right among ten"] else "no"
    said = [f"     [{one['why']}] {Path(one['file']).name}, which says: {one['says']}"]
    said += [f"         {hit['score']:.2f}  {hit['caption']}{'   ← its picture' if hit['right'] else ''}"
             for hit in one["found"]]  # fmt: skip
    return [*said, f"       its picture in the first {K}: {right} (rank {one['rank']})"]
