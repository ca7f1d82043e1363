"""Puts pages that code writes (of methods, of experiments) into the navigation, so that no list of them is kept."""

from pathlib import Path
from typing import Any

LISTED = {"methods/index.md": "methods", "evidence.md": "experiments"}
"""Page → the folder whose pages stand behind it."""


def on_config(config: Any) -> Any:
    """Return the configuration with every page of the folders in its navigation."""
    docs = Path(config.docs_dir)
    for section in config.nav:
        for pages in section.values():
            if isinstance(pages, list):
                for page in [page for page in pages if isinstance(page, str) and page in LISTED]:
                    there = {each for item in pages for each in (item.values() if isinstance(item, dict) else [item])}
                    found = sorted(each.relative_to(docs).as_posix() for each in (docs / LISTED[page]).glob("*.md"))
                    pages.extend(each for each in found if each not in there)
    return config
