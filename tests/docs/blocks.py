"""The code blocks of a page: fenced and indented ones, what each is written in, and why one is not run."""

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

MARK = re.compile(r"<!-- (not run: (?P<why>.+)|(?P<apart>a folder of its own)) -->")
FENCE = re.compile(r"^( {0,3})```(\w*)\s*$")
LISTED = re.compile(r"^\s*(?:[-*]|\d+\.) ")
TYPED = ("polymnia", "make", "python", "pip", "curl", "torchrun", "POLYMNIA_TOKEN")


@dataclass(frozen=True)
class Block:
    """Some code on a page."""

    page: str
    line: int
    language: str
    code: str
    why_not: str = ""
    """Why it is not run; empty: it is."""
    apart: bool = False
    """Whether it begins in a folder of its own."""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """What is typed on a line: its words, and the exit code that its comment tells of."""

    words: tuple[str, ...]
    code: int
    environment: tuple[tuple[str, str], ...] = ()


def blocks(path: Path, *, root: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    found, lines, at, mark, listed = [], path.read_text().splitlines(), 0, "", False
    page = path.relative_to(root).as_posix()
    while at < len(lines):
        line = lines[at]
        begun, opening = at, FENCE.match(line)
        if opening:
            at = next(i for i in range(at + 1, len(lines)) if FENCE.match(lines[i]))
            held, language = lines[begun + 1 : at], opening[2]
        elif line.startswith("    ") and not listed and (not at or not lines[at - 1].strip()):
            while at + 1 < len(lines) and (lines[at + 1].startswith("    ") or not lines[at + 1].strip()):
                at += 1
            held, language = [each[4:] for each in lines[begun : at + 1]], ""
        else:
            if line.strip():
                mark = line if MARK.search(line) else ""
                listed = bool(LISTED.match(line)) or (listed and line.startswith(" "))
            at += 1
            continue
        code = "\n".join(held).strip("\n") + "\n"
        said = MARK.search(mark)
        found.append(
            Block(page, begun + 1, _language(language, code, fenced=bool(opening)), code,
                  said["why"] or "" if said else "", bool(said and said["apart"]))
        )  # fmt: skip
        mark, at = "", at + 1
    return found


def commands(code: str) -> list[Command]:
    """Return what is typed, line by line; `\\` goes on in the next line, `&&` parts two commands."""
    typed = []
    for line in code.replace("\\\n", " ").splitlines():
        told = re.search(r"#.*ends with (\d+)", line)
        words = shlex.split(line, comments=True)
        for part in " \0".join(words).split("\0&& \0") if "&&" in words else ["\0".join(words)]:
            given = [word.rstrip(" ") if "&&" in words else word for word in part.split("\0") if word]
            if given:
                typed.append(_command(given, int(told[1]) if told else 0))
    return typed


def _command(words: list[str], code: int) -> Command:
    environment = []
    while "=" in words[0] and words[0].partition("=")[0].isupper():
        name, _, value = words.pop(0).partition("=")
        environment.append((name, value))
    words[0] = words[0].removeprefix(".venv/bin/")
    return Command(tuple(words), code, tuple(environment))


def _language(given: str, code: str, *, fenced: bool) -> str:
    if fenced:
        return given or "text"
    first = re.split(r"[\s=]", code, maxsplit=1)[0].removeprefix(".venv/bin/")
    if first in TYPED:
        return "sh"
    try:
        ast.parse(code)
    except SyntaxError:
        return "text"
    return "python"
