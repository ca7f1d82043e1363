"""The pages of methods: made of the code and of results, and those in the repository are what these make."""

from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from polymnia.experiments.described import attribute_texts, settings_table, text
from polymnia.experiments.method_pages import families, method_page, method_pages, slug
from polymnia.experiments.tables import load, made_of_code
from polymnia.methods.base import METHODS
from polymnia.models.base import MODELS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found():
    return load(ROOT / "results")


def test_committed_pages_are_what_the_code_makes():
    assert made_of_code(ROOT / "results", ROOT / "docs", write=False) == [], "run `make docs` and commit what it writes"


def test_a_page_that_is_old_or_of_no_method_is_found_and_made_good(tmp_path):
    made_of_code(ROOT / "results", tmp_path, write=True)
    (tmp_path / "methods" / "ewc.md").write_text("old")
    (tmp_path / "methods" / "gone.md").write_text("of a method that is no more")
    old = [Path("methods/ewc.md"), Path("methods/gone.md")]
    assert made_of_code(ROOT / "results", tmp_path, write=False) == old
    assert made_of_code(ROOT / "results", tmp_path, write=True) == old
    assert made_of_code(ROOT / "results", tmp_path, write=False) == []


def test_each_method_has_a_page_with_every_setting(found):
    pages = method_pages(found)
    for name in METHODS:
        page = pages[Path("methods") / f"{slug(name)}.md"]
        assert page.startswith("<!-- Made from") and f"\n# `{name}`\n" in page
        assert all(f"| `{held.name}` |" in page for held in fields(METHODS.get(name).Settings))
    assert len({slug(name) for name in METHODS}) == len(list(METHODS))


def test_a_page_shows_the_figures_of_its_results(found):
    (spine,) = [results for results in found if results["name"] == "spine"]
    figure = spine["means"]["digits"]["ewc-100"]["learning_accuracy"]
    shown = f"{figure['mean']:.3f} ± {figure['half_width']:.3f}"
    row = next(line for line in method_page("ewc", [spine]).splitlines() if "`ewc-100`" in line)
    assert shown in row
    assert "nothing is claimed" in method_page("ewc", [])


def test_families_are_those_that_provide_what_is_needed():
    assert families(METHODS.get("finetune")) == list(MODELS)
    assert families(METHODS.get("comet")) == ["shared-space"]


def test_settings_carry_the_words_of_their_code():
    @dataclass(frozen=True, kw_only=True)
    class Base:
        many: int = 3
        """How many | how much."""

    @dataclass(frozen=True, kw_only=True)
    class Own(Base):
        names: tuple[str, ...] = ()
        plain: float = 1.0

    assert attribute_texts(Own) == {"many": "How many | how much."}
    table = settings_table(Own)
    assert r"| `many` | `int` | `3` | How many \| how much. |" in table
    assert "| `names` | `tuple[str, ...]` | `()` |  |" in table


def test_no_section_of_a_docstring_becomes_a_heading():
    assert all("\n---" not in text(METHODS.get(name)) for name in METHODS)
