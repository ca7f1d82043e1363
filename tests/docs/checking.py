"""What is looked at in a block that is not run, and in settings files on a page: that all it names exists."""

import re
from pathlib import Path

import click
import typer
from tests.docs.blocks import Block, Command, commands

from polymnia.cli.app import app
from polymnia.config import read, typed
from polymnia.data.scenario import SCENARIOS
from polymnia.data.source import SOURCES
from polymnia.encoders.base import ENCODERS
from polymnia.methods.base import METHODS
from polymnia.training.build import build_method, build_model
from polymnia.training.settings import run_settings

ROOT = Path(__file__).parents[2]


def check_shell(block: Block) -> None:
    """Raise an error where a block types a verb, option, file or name that does not exist."""
    for typed_line in commands(block.code):
        program, *words = typed_line.words
        if program == "polymnia":
            check_words(words)
        elif program == "make":
            targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert words[0] in targets, f"{block.where}: make {words[0]}"
        elif program == "pip":
            check_pip(typed_line, block)
        elif program == "python":
            check_module(words, block)
        elif program == "torchrun":
            check_words(words[words.index("polymnia") + 1 :])
        else:
            assert program == "curl", f"{block.where}: {program}"


def check_words(words: list[str]) -> None:
    """Let the command's own parser read a line, and its settings be read; nothing is done."""
    kind = typer.main.get_command(app)
    with click.Context(kind) as context:
        while isinstance(kind, click.Group):
            name, words = words[0], words[1:]
            found = kind.get_command(context, name)
            assert found is not None, f"polymnia {name}: no such verb"
            kind = found
        given = kind.make_context(kind.name, list(words)).params
    if kind.name == "run":
        run_settings(read(ROOT / given["config"], given["overrides"] or []))
    elif kind.name == "reproduce":
        name = given["name"]
        assert (ROOT / "experiments" / f"{name}.yaml").is_file() or name == "NAME", f"reproduce {name}"
    elif kind.name == "get":
        assert given["name"] in SOURCES


def check_pip(line: Command, block: Block) -> None:
    """Look for the extras and requirement files that an installation names."""
    project = (ROOT / "pyproject.toml").read_text()
    for word in line.words:
        for extra in re.findall(r"\[([\w,]+)\]", word):
            known = all(re.search(rf"^{name} = \[", project, re.MULTILINE) for name in extra.split(","))
            assert known, f"{block.where}: {word}"
        assert not word.endswith(".txt") or (ROOT / word).is_file(), f"{block.where}: {word}"


def check_module(words: list[str], block: Block) -> None:
    """Look for the module and the files that a line of Python names."""
    assert words[0] == "-m" and words[1] in ("pytest", "benchmarks"), f"{block.where}: python {' '.join(words)}"
    for word in words[2:]:
        assert "/" not in word or (ROOT / word).exists(), f"{block.where}: {word}"


def check_settings(block: Block, folder: Path) -> None:
    """Read a block of YAML as the settings of a run or of a stream, and build what it names of model and method."""
    path = folder / "block.yaml"
    path.write_text(block.code)
    given = read(path)
    settings = run_settings({section: given[section] for section in given})
    if "method" in given:
        method = METHODS.get(settings.method["name"])
        build_method(
            settings.method, build_model(settings.model, seed=0, parts=method.parts_of(settings.method)), seed=0
        )
    if "stream" in given:
        check_stream(settings.stream)
    if isinstance(settings.encoders, dict):
        assert all((e if isinstance(e, str) else e["name"]) in ENCODERS for e in settings.encoders.values())


def check_stream(given: dict) -> None:
    """Check names and settings of sources and scenario; no data is read."""
    source, scenario = SOURCES.get(given["name"]), SCENARIOS.get(given.get("scenario", "class-incremental"))
    own = {"name", "scenario", "missing", "valid", "test", "seed"}
    of_both = set(source.Settings.__dataclass_fields__) | set(scenario.Settings.__dataclass_fields__)
    assert set(given) <= own | of_both, set(given) - own - of_both
    fields = source.Settings.__dataclass_fields__
    typed(source.Settings, {k: v for k, v in given.items() if k in fields}, where="stream", owner=source.name)
