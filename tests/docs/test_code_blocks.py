"""Every code block of README.md and docs/ runs, in order, in a folder of small data; those that do not say why."""

import ast
import json

import pytest
from tests.docs.blocks import blocks
from tests.docs.checking import check_settings, check_shell
from tests.docs.running import ROOT, Reader

import polymnia
from polymnia.data.source import SOURCES
from polymnia.methods.base import METHODS

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MADE = {"experiments", "methods"}
"""Folders of pages that code writes: their settings are read and their commands are checked, all in one test each."""
BLOCKS = {page: blocks(page, root=ROOT) for page in PAGES}
RUN = {
    page: [block for block in held if block.language in ("sh", "python") and not block.why_not]
    for page, held in BLOCKS.items()
    if page.parent.name not in MADE
}


def name(page) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def as_before():
    """Forget what a page registers."""
    held = [(registry, dict(registry._parts)) for registry in (METHODS, SOURCES) if registry.names()]
    yield
    for registry, parts in held:
        registry._parts = parts


@pytest.mark.bundled("efficientnet-lite0", "minilm", "openwakeword")
@pytest.mark.parametrize("page", [page for page, held in RUN.items() if held], ids=name)
def test_what_a_page_says_can_be_done(page, tmp_path_factory, command, as_before):
    for package in ("fastapi", "lancedb", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed: make install")
    readers = [Reader(tmp_path_factory.mktemp("page"), command)]
    try:
        for block in RUN[page]:
            if block.apart:
                readers.append(Reader(tmp_path_factory.mktemp("page"), command))
            readers[-1].does(block)
        for reader in readers:
            if reader.service is not None:
                assert reader.says("a thing in green, number 3")["classes"][0]["name"] == "green"
    finally:
        for reader in readers:
            reader.leave()


@pytest.mark.parametrize(
    "page", [page for page, held in BLOCKS.items() if held and page.parent.name not in MADE], ids=name
)
def test_what_is_not_run_names_what_exists(page, tmp_path):
    for block in BLOCKS[page]:
        check(block, tmp_path)


@pytest.mark.parametrize("folder", sorted(MADE))
def test_pages_that_code_writes_name_what_exists(folder, tmp_path):
    for page in PAGES:
        if page.parent.name == folder:
            for block in BLOCKS[page]:
                check(block, tmp_path)


def check(block, folder) -> None:
    if block.language == "sh" and (block.why_not or block.page.split("/")[-2:-1] in ([each] for each in MADE)):
        check_shell(block)
    elif block.language == "python" and block.why_not:
        for node in ast.walk(ast.parse(block.code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pm":
                assert node.attr in polymnia.__all__, f"{block.where}: pm.{node.attr}"
    elif block.language == "yaml":
        check_settings(block, folder)
    elif block.language == "json":
        json.loads(block.code)
    else:
        assert block.language in ("sh", "python", "text", "toml"), f"{block.where}: {block.language}"


def test_few_are_not_run_and_each_says_why():
    left = [block for held in BLOCKS.values() for block in held if block.why_not]
    assert all(len(block.why_not) > 15 for block in left)
    assert len(left) < sum(len(held) for held in RUN.values())
