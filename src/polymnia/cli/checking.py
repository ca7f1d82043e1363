"""The verb that looks through own data before anything is learned from it."""

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from polymnia.cli.console import encoding, progress, say, table

if TYPE_CHECKING:
    from polymnia.data.check import Check


def check(
    data: Annotated[str, typer.Argument(help="A manifest, a folder a class, or a folder that `datasets` wrote.")],
    settings: Annotated[list[str] | None, typer.Argument(help="label=…, kinds={…}, columns=[…]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look through own data: what is there, what is broken, what is there twice, and how it may be cut into stages."""
    from polymnia.data.check import check as looked_through
    from polymnia.data.own import source_asked_for, source_of

    with progress() as listen:
        found = looked_through(source_of(source_asked_for(data, settings or [])), progress=encoding(listen))
    if as_json:
        say(json.dumps(found.to_json(), indent=1, ensure_ascii=False, default=str))
    else:
        _show(found, data)


def _show(found: "Check", data: str) -> None:
    say(f"{found.samples:,} usable samples, read as {found.source['name']}")
    rows = [
        [name, seen.kind, f"{seen.values:,}", f"{seen.missing:,}", f"{seen.broken:,}",
         "; ".join(f"{measure} {spread}" for measure, spread in seen.measures.items())]
        for name, seen in found.modalities.items()
    ]  # fmt: skip
    table(["modality", "kind", "values", "missing", "broken", "sizes"], rows)
    if found.classes:
        say(f"{len(found.classes):,} classes: {_first(found.classes)}")
    if found.splits:
        say("splits: " + ", ".join(f"{name} {many:,}" for name, many in found.splits.items()))
    for rejected in found.rejected[:5]:
        say(f"  set aside: {rejected.id}{f' ({rejected.modality})' if rejected.modality else ''}: {rejected.reason}")
    if len(found.rejected) > 5:
        say(f"  … and {len(found.rejected) - 5:,} more (--json lists them)")
    for problem in found.problems:
        say(f"! {problem}")
    wanted = {"stream": found.stream, "model": found.model}
    asked = " ".join(f"{room}.{key}={_plain(value)}" for room, held in wanted.items() for key, value in held.items())
    say(f"A stage of a model in use: polymnia learn MODEL {shlex.quote(data)}")
    say(f"A stream for it, as {found.why}:\n  polymnia run configs/own-data.yaml {asked}")


def _plain(value: object) -> str:
    said = value if isinstance(value, str) else json.dumps(value)
    return shlex.quote(said)


def _first(classes: Mapping[str, int], most: int = 8) -> str:
    named = sorted(classes.items(), key=lambda item: -item[1])
    said = ", ".join(f"{name} {many:,}" for name, many in named[:most])
    return said + (f", … down to {named[-1][1]:,}" if len(named) > most else "")
