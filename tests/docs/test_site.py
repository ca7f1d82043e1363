"""What the site is made of, without building it: links lead somewhere, and the reference names what is public."""

import inspect
import re

import pytest
from tests.docs.running import ROOT

import polymnia
from polymnia.config import read
from polymnia.experiments.part_page import KINDS

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+?)(?:#[\w-]+)?\)")


@pytest.mark.parametrize("folder", sorted({page.parent for page in PAGES}), ids=lambda path: path.name)
def test_every_link_leads_to_a_file(folder):
    lost = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        if page.parent == folder
        for link in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
        if "://" not in link and not (folder / link).exists()
    ]
    assert lost == []


def test_no_page_of_the_site_leads_out_of_it():
    for page in PAGES[2:]:
        for link in LINK.findall(page.read_text()):
            inside = "://" in link or (page.parent / link).resolve().is_relative_to(ROOT / "docs")
            assert inside, f"{page}: {link}"


def test_the_navigation_names_every_page_or_the_page_before_it():
    listed = set(_pages(read(ROOT / "mkdocs.yml")["nav"]))
    made = {"experiments", "methods"}  # docs/hooks.py lists these
    found = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES[2:]}
    assert listed <= found
    assert {page for page in found - listed if page.split("/")[0] not in made} == set()


def _pages(nav):
    for item in nav:
        if isinstance(item, str):
            yield item
        else:
            for held in item.values():
                yield from [held] if isinstance(held, str) else _pages(held)


def test_the_reference_has_every_public_name():
    text = (ROOT / "docs/reference/library.md").read_text()
    shown = set(re.findall(r"^## `pm\.(\w+)`$", text, re.MULTILINE))
    assert shown == set(polymnia.__all__) - {"__version__"}
    assert all(f"::: {module}.{name}\n" in text for name, module in polymnia._PUBLIC.items())


def test_no_default_is_shown_for_another_parameter():
    """Parameters that share a line of a docstring are shown with one default: they must have the same."""
    shared = re.compile(r"^(\w+(?:, \w+)+)(?: :.*)?$", re.MULTILINE)
    for name in set(polymnia._PUBLIC):
        whole = getattr(polymnia, name)
        members = [m for key, m in inspect.getmembers(whole, callable) if not key.startswith("_")]
        for each in [whole, *(members if inspect.isclass(whole) else [])]:
            for match in shared.finditer(inspect.getdoc(each) or ""):
                given = inspect.signature(each).parameters
                defaults = {repr(given[n].default) for n in match[1].split(", ") if n in given}
                assert len(defaults) < 2, f"{each}: {match[1]}"


def test_the_page_of_parts_has_every_registry_but_those_with_pages():
    text = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    registries = set(re.findall(r"^([A-Z]+): Registry\[", text, re.MULTILINE)) - {"METHODS", "MODELS", "SCORERS"}
    assert {name for *_, name in KINDS} == registries
