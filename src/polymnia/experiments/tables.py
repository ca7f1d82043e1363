"""Make the documentation's tables and plots from results, or say which are not what the results would make.

python -m polymnia.experiments.tables [--check] [--results results] [--docs docs]
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from polymnia.errors import PolymniaError, StateError
from polymnia.experiments.page import overview, page
from polymnia.experiments.plots import draw, seal
from polymnia.experiments.store import read_results
from polymnia.training.checkpoint import write_atomic


def make(results: Path, docs: Path) -> list[Path]:
    """Write every page and plot that the results call for and return the files that changed.

    Raises
    ------
    StateError
        A file of results is damaged, or partial.
    """
    found = load(results)
    changed = [docs / name for name in stale(results, docs)]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = _pages(found).get(path.relative_to(docs)) or _drawn(found, path)
        write_atomic(path, text.encode())
    return changed


def stale(results: Path, docs: Path) -> list[Path]:
    """Return the pages and plots, below `docs`, that are missing or are not what the results would make."""
    found = load(results)
    pages = [name for name, text in _pages(found).items() if _read(docs / name) != text]
    plots = [name for name, wanted in _seals(found).items() if _sealed(_read(docs / name)) != wanted]
    return pages + plots


def load(results: Path) -> list[dict]:
    """Return all results, by name; partial ones are refused."""
    found = [read_results(path) for path in sorted(results.glob("*.json"))]
    for one in found:
        if one["partial"]:
            raise StateError(f"{results / one['name']}.json is partial; only a whole experiment goes into the docs")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; with `--check`, nothing is written and the status says whether all is up to date."""
    reader = argparse.ArgumentParser(prog="python -m polymnia.experiments.tables", description=__doc__)
    reader.add_argument("--check", action="store_true", help="write nothing; status 1 when something is out of date")
    reader.add_argument("--results", type=Path, default=Path("results"))
    reader.add_argument("--docs", type=Path, default=Path("docs"))
    given = reader.parse_args(arguments)
    try:
        files = [given.docs / name for name in stale(given.results, given.docs)] if given.check else make(
            given.results, given.docs)  # fmt: skip
    except PolymniaError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    for path in files:
        print(f"{path} is not what {given.results}/ would make: run `make docs`" if given.check else path)  # noqa: T201
    return 1 if given.check and files else 0


def _pages(found: list[dict]) -> dict[Path, str]:
    pages = {Path("experiments") / f"{results['name']}.md": page(results) for results in found}
    return {**pages, Path("evidence.md"): overview(found)}


def _seals(found: list[dict]) -> dict[Path, str]:
    return {
        _plot(results["name"], stream): seal(stream, means)
        for results in found
        for stream, means in results["means"].items()
        if means
    }


def _drawn(found: list[dict], path: Path) -> str:
    return next(
        draw(stream, means)
        for results in found
        for stream, means in results["means"].items()
        if path.name == _plot(results["name"], stream).name
    )


def _plot(name: str, stream: str) -> Path:
    return Path("assets") / f"{name}-{stream}.svg"


def _sealed(svg: str | None) -> str | None:
    match = re.search(r"sealed ([0-9a-f]{64})", svg or "")
    return match[1] if match else None


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
