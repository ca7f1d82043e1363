"""The page of a verdict: what a proposed stage costs and brings, and sample by sample what broke."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polymnia import __version__
from polymnia.growing.compared import Compared, Flip
from polymnia.growing.gate import Verdict
from polymnia.growing.kept import glimpses
from polymnia.growing.probed import Probed
from polymnia.report.render import render, write

SHOWN = 60
"""Samples of a test set that are shown; all are in `verdict.json`."""


def write_verdict(folder: Path, kept: Path, verdict: Verdict, *, version: str) -> Path:
    """Write `verdict.html` into a version's folder and return its path; nothing in it is loaded from anywhere.

    Parameters
    ----------
    folder : Path
        The version's.
    kept : Path
        Where the test sets of its stages are.
    verdict : Verdict
        What was found.
    version : str
        Its name.
    """
    said = "accepted" if verdict.accepted else "not accepted"
    content = {
        "version": __version__,
        "title": version,
        "kind": "Verdict over a stage",
        "facts": [said, f"{len(verdict.compared)} test sets", f"a drop of {verdict.limits.drop:.3f} is allowed"],
        "accepted": verdict.accepted,
        "why": verdict.why,
        "rows": [_row(each) for each in verdict.compared],
        "figures": [_figure(each) for each in verdict.probed],
        "moved": [[each.stage, m, f"{change:.3g}"] for each in verdict.compared for m, change in each.moved.items()],
        "sets": [_flips(each, kept / each.stage) for each in verdict.compared if each.broke or each.mended],
    }
    return write(render("verdict.html.j2", content), folder / "verdict.html")


def _row(each: Compared) -> list[str]:
    before, after = (("–" if score is None else f"{score:.3f}") for score in (each.before, each.after))
    flips = [f"{len(each.broke)}", f"{len(each.mended)}"] if not each.new else ["–", "–"]
    return [each.stage, each.metric, f"{each.samples:,}", before, after, f"{each.change:+.3f}", *flips]


def _figure(each: Probed) -> list[str]:
    before = "1, promised" if each.promised else "–" if each.before is None else f"{each.before:.3f}"
    return [each.probe, each.figure, before, f"{each.after:.3f}"]


def _flips(each: Compared, folder: Path) -> dict[str, Any]:
    seen = glimpses(folder)
    return {
        "stage": each.stage,
        "broke": [_sample(flip, seen, folder) for flip in each.broke[:SHOWN]],
        "more": max(0, len(each.broke) - SHOWN),
        "mended": [_sample(flip, seen, folder) for flip in each.mended[:SHOWN]],
    }


def _sample(flip: Flip, seen: Mapping[str, Mapping[str, str]], folder: Path) -> dict[str, Any]:
    looks = seen.get(flip.id, {})
    pictures, words = [], []
    for modality, value in looks.items():
        path = folder / Path(value).name if value.endswith(".jpg") and Path(value).name == value else None
        if path is not None and path.is_file():
            data = base64.b64encode(path.read_bytes()).decode()
            pictures.append({"alt": f"{modality} of {flip.id}", "src": f"data:image/jpeg;base64,{data}"})
        else:
            words.append(f"{modality}: {value}")
    return {"id": flip.id, "wanted": flip.wanted, "before": flip.before, "after": flip.after, "pictures": pictures,
            "words": words}  # fmt: skip
