"""What the code says of a registered part: its text in Markdown, its settings, and where its functions stand."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any

from polymnia.experiments.markdown import table

SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
FIELD = re.compile(r"^(\w+) : ([^\n]+)\n((?: {4}[^\n]+\n?)+)", re.MULTILINE)


def first_line(part: Any) -> str:
    """Return the first paragraph of a part's docstring, on one line."""
    return " ".join((inspect.getdoc(part) or "").partition("\n\n")[0].split())


def text(part: Any) -> str:
    """Return a docstring as Markdown: its source apart, its sections as bold words, its attributes as a list.

    Examples
    --------
    >>> class Counted:
    ...     '''It counts.
    ...
    ...     Attributes
    ...     ----------
    ...     n : int
    ...         So many.
    ...     '''
    >>> print(text(Counted))
    It counts.
    <BLANKLINE>
    **Attributes**
    <BLANKLINE>
    - `n` (`int`): So many.
    """
    raw = (inspect.getdoc(part) or "").partition("\nExamples\n---")[0] + "\n"
    listed = FIELD.sub(lambda m: f"- `{m[1]}` (`{m[2]}`): {' '.join(m[3].split())}\n", raw)
    return SECTION.sub(r"**\1**\n", listed.replace("\nSource:", "\n**Source:**")).strip()


def settings_table(kind: type[Any]) -> str:
    """Return a table of a settings dataclass: name, type, default, and what its code says of each."""
    held = [f for f in fields(kind) if f.init]
    if not held:
        return "None."
    said = attribute_texts(kind)
    rows = [(f"`{f.name}`", f"`{_type(f)}`", f"`{_default(f)}`", said.get(f.name, "")) for f in held]
    return table(("setting", "type", "default", "what it is"), rows)


def attribute_texts(kind: type) -> dict[str, str]:
    """Return name → the text that stands below a dataclass's field in the code, those of its bases too.

    Examples
    --------
    >>> from polymnia.data.scenarios.given import Given
    >>> attribute_texts(Given.Settings)
    {'order': 'Every value of the `stage` column; empty: as above.'}
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        for node, below in _pairs(_class(base)):
            text_below = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and text_below:
                found[node.target.id] = " ".join(inspect.cleandoc(str(below.value.value)).split())
    return found


def functions(kind: type) -> Iterator[tuple[str, str]]:
    """Yield the public functions that a class writes itself, with the first sentence of each."""
    for name, member in vars(kind).items():
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isfunction(plain) and not name.startswith("_"):
            yield name, first_line(plain)


def default_settings(kind: type[Any]) -> dict[str, Any]:
    """Return name → default of the settings that have one."""
    return {f.name: _value(f) for f in fields(kind) if f.init and _value(f) is not MISSING}


@cache
def _class(kind: type) -> ast.ClassDef:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(node, ast.ClassDef)
    return node


def _pairs(node: ast.ClassDef) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    return zip(node.body, node.body[1:], strict=False)


def _type(held: Field[Any]) -> str:
    shown = held.type if isinstance(held.type, str) else getattr(held.type, "__name__", str(held.type))
    if getattr(held.type, "__args__", None):
        shown = str(held.type)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", str(shown))


def _default(held: Field[Any]) -> str:
    value = _value(held)
    return "(must be given)" if value is MISSING else repr(value)


def _value(held: Field[Any]) -> Any:
    return held.default_factory() if held.default_factory is not MISSING else held.default
