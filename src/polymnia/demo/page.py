"""The demo's page: the comparison of methods, and what became of the space."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polymnia.demo.space import SHOWN, K, identical, share, way
from polymnia.report.compare import compare
from polymnia.report.comparison_page import content
from polymnia.report.render import render, write


def write_page(path: Path, folders: Sequence[Path], space: dict[str, Any] | None) -> Path:
    """Write the page and return where it is; it needs no network.

    Parameters
    ----------
    path : Path
        The file.
    folders : sequence of Path
        The runs of the first part.
    space : dict, optional
        What `grow_space` returned.

    Raises
    ------
    MissingExtra
        matplotlib or jinja2 is not installed.
    """
    made = content(compare(folders), path.parent)
    if space is None:
        return write(render("comparison.html.j2", made), path)
    sections = [*made["sections"], ("space", "A space that grows")]
    return write(render("demo.html.j2", {**made, "sections": sections, "space": _space(space, path.parent)}), path)


def _space(space: dict[str, Any], folder: Path) -> dict[str, Any]:
    stages = [
        {
            "name": f"Stage {place}: {SHOWN[stage['new']]}, by {stage['pairs']} pairs with captions",
            "retrieval": [
                [way(row), "yes" if row["paired"] else "never", f"{row['samples']}", share(row["recall"]),
                 share(row["chance"])] for row in stage["retrieval"]
            ],
            "kept": [
                [way(row), row["stage"], identical(row["identical"]), share(row["R@10 then"]), share(row["R@10"]),
                 share(row["R@10 newest"]), share(row["chance"])] for row in stage["old paths"]
            ],
        }
        for place, stage in enumerate(space["stages"], start=1)
    ]  # fmt: skip
    link = Path(space["report"]).relative_to(folder).as_posix()
    return {"k": K, "stages": stages, "queries": space["queries"], "link": link}
