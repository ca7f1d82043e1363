"""Make the documentation's tables and plots from results and its pages of methods from the code, or say which are old.

python -m polymnia.experiments.tables [--check] [--results results] [--docs docs]
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from polymnia.errors import PolymniaError, StateError
from polymnia.experiments import plots, usage
from polymnia.experiments.page import overview, page
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
    pages, pictures = _pages(found), _pictures(found)
    changed = [docs / name for name in stale(results, docs)]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.relative_to(docs)
        text = pages.get(name) or pictures[name].draw()
        write_atomic(path, text.encode())
    return changed


def stale(results: Path, docs: Path) -> list[Path]:
    """Return the pages and plots, below `docs`, that are missing or are not what the results would make."""
    found = load(results)
    pages = [name for name, text in _pages(found).items() if _read(docs / name) != text]
    drawn = [name for name, wanted in _pictures(found).items() if _sealed(_read(docs / name)) != wanted.seal]
    return pages + drawn


def load(results: Path) -> list[dict]:
    """Return all results, by name; partial ones are refused."""
    found = [read_results(path) for path in sorted(results.glob("*.json"))]
    for one in found:
        if one["partial"]:
            raise StateError(f"{results / one['name']}.json is partial; only a whole experiment goes into the docs")
    return found


def made_of_code(results: Path, docs: Path, *, write: bool) -> list[Path]:
    """Return the pages, below `docs`, that the code would make otherwise; with `write`, write them.

    They are apart from `make`, because they need every registered part and so import all of them.
    """
    from polymnia.experiments.method_pages import method_pages
    from polymnia.experiments.part_page import part_page

    pages = {**method_pages(load(results)), Path("reference") / "parts.md": part_page()}
    lying = {path.relative_to(docs) for path in (docs / "methods").glob("*.md")} - set(pages)
    changed = [name for name, text in pages.items() if _read(docs / name) != text]
    if write:
        for name in changed:
            (docs / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(docs / name, pages[name].encode())
        for name in lying:
            (docs / name).unlink()
    return [*changed, *sorted(lying)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; with `--check`, nothing is written and the status says whether all is up to date."""
    reader = argparse.ArgumentParser(prog="python -m polymnia.experiments.tables", description=__doc__)
    reader.add_argument("--check", action="store_true", help="write nothing; status 1 when something is out of date")
    reader.add_argument("--results", type=Path, default=Path("results"))
    reader.add_argument("--docs", type=Path, default=Path("docs"))
    given = reader.parse_args(arguments)
    try:
        if given.check:
            names = stale(given.results, given.docs)
        else:
            names = [path.relative_to(given.docs) for path in make(given.results, given.docs)]
        names += made_of_code(given.results, given.docs, write=not given.check)
    except PolymniaError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    for path in (given.docs / name for name in names):
        print(f"{path} is not what the code and {given.results}/ would make: run `make docs`" if given.check else path)  # noqa: T201
    return 1 if given.check and names else 0


def _pages(found: list[dict]) -> dict[Path, str]:
    pages = {Path("experiments") / f"{results['name']}.md": page(results) for results in found}
    return {**pages, Path("evidence.md"): overview(found)}


@dataclass(frozen=True)
class _Picture:
    """A plot that results call for: what it is sealed with, and how it is drawn."""

    seal: str
    draw: Callable[[], str]


def _pictures(found: list[dict]) -> dict[Path, _Picture]:
    pictures = {}
    for results in found:
        for stream, means in results["means"].items():
            if means:
                path = Path("assets") / f"{results['name']}-{stream}.svg"
                pictures[path] = _Picture(plots.seal(stream, means), partial(plots.draw, stream, means))
            if used := usage.used(results, stream):
                path = Path("assets") / f"{results['name']}-{stream}-experts.svg"
                pictures[path] = _Picture(usage.seal(stream, used), partial(usage.draw, stream, used))
    return pictures


def _sealed(svg: str | None) -> str | None:
    match = re.search(r"sealed ([0-9a-f]{64})", svg or "")
    return match[1] if match else None


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
