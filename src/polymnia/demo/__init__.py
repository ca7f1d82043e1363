"""The demo: real stamps; first classes in five stages by five methods, then a shared space that grows by modalities."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polymnia.data.source import SOURCES
from polymnia.demo.classes import DIGITS, STAMPS, learn_classes
from polymnia.demo.space import grow_space, space_settings
from polymnia.errors import DataError
from polymnia.training.checkpoint import write_atomic
from polymnia.training.trainer import Event


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    path: Path | None = None,
    listen: Callable[[Event], None] = lambda event: None,
    say: Callable[[str], None] = lambda line: None,
    tell: Callable[[list[dict[str, Any]]], None] = lambda runs: None,
) -> dict[str, Any]:
    """Run the demo and return its summary, which is also in `summary.json`.

    Parameters
    ----------
    out : Path
        Where everything goes; what an earlier demo left there is replaced.
    seed : int
        Of every run.
    path : Path, optional
        An unpacked stamps folder.
    listen, say : callable
        Get events and lines.
    tell : callable
        Gets the runs of the first part when they are done.
    """
    from polymnia.demo.page import write_page

    stream = chosen_stream(path, say)
    say(f"1. Classes in five stages. Encoding {stream['name']} (once; later runs read the cache)")
    classes, folders = learn_classes(out, stream, seed=seed, listen=listen)
    tell(classes["runs"])
    if stream["name"] == "stamps":
        settings = space_settings(path=stream.get("path"), seed=seed)
        space = grow_space(out / "space", settings, listen=listen, say=say)
    else:
        say("\n2. The shared space is left out: it needs the stamps, whose pictures, captions and speech it pairs.")
        space = None
    report = write_page(out / "report.html", folders, space)
    summary = {"stream": stream, "seed": seed, **classes, "space": space, "report": str(report)}
    write_atomic(out / "summary.json", (json.dumps(summary, indent=1, ensure_ascii=False) + "\n").encode())
    return summary


def chosen_stream(path: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the settings of the stamps stream, fetched if need be; where they cannot be had, of digits."""
    if path is not None:
        return {**STAMPS, "path": str(path)}
    source = SOURCES.get("stamps")
    try:
        if not source.available():
            say("fetching the stamps (161 MB, Debian package tuxpaint-stamps-default)")
            source.get()
    except DataError as error:
        say(f"the stamps cannot be had here: {error}\nusing scikit-learn's digits instead")
        return DIGITS
    return STAMPS
