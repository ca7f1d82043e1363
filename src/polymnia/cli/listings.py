"""The verbs that list what there is, and look after data and cache."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from polymnia.cli.console import say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

data = typer.Typer(no_args_is_help=True, help="Fetch and list data sets.")
cache = typer.Typer(invoke_without_command=True, help="What encoders have computed on this machine.")


@data.command("get")
def data_get(
    name: Annotated[str, typer.Argument(help="A data set; see `polymnia data list`.")],
    into: Annotated[Path | None, typer.Option(help="Another folder than the usual one.")] = None,
) -> None:
    """Fetch a data set onto this machine, without root."""
    from polymnia.data.source import SOURCES

    where = SOURCES.get(name).get(into)
    say(f"{name}: {where}" if where else f"{name}: nothing to fetch, it comes with the installed packages")


@data.command("list")
def data_list(as_json: AsJson = False) -> None:
    """List data sets: size, licence, and how to get what is not here."""
    streams(as_json)


def streams(as_json: AsJson = False) -> None:
    """List the data sets that streams are made of, with sizes, licences and citations."""
    from polymnia.data.listing import listing

    found = listing()
    _show(found, ["name", "samples", "classes", "modalities", "licence", "state"], as_json)


def encoders(as_json: AsJson = False) -> None:
    """List the encoders: what they read, the width of their tokens, licence."""
    from polymnia.encoders.listing import listing

    _show(listing(), ["name", "kind", "width", "licence", "available"], as_json)


def hosts(as_json: AsJson = False) -> None:
    """List the hosts: frozen language models that answer in words, and their licences."""
    from polymnia.hosts.listing import listing

    _show(listing(), ["name", "title", "licence", "available"], as_json)


def methods(as_json: AsJson = False) -> None:
    """List the methods: what each does, its settings and its source."""
    from dataclasses import fields

    from polymnia.methods.base import METHODS

    rows: list[dict[str, Any]] = []
    for name in METHODS:
        kind = METHODS.get(name)
        text = (kind.__doc__ or "").strip()
        source = next((line.strip() for line in text.splitlines() if line.strip().startswith("Source:")), "")
        settings = {f.name: f.default for f in fields(kind.Settings)}
        rows.append({"name": name, "what": text.splitlines()[0], "settings": settings, "source": source})
    shown = [{**row, "settings": ", ".join(f"{k}={v}" for k, v in row["settings"].items())} for row in rows]
    _show(rows if as_json else shown, ["name", "what", "settings"], as_json)


def doctor(as_json: AsJson = False) -> None:
    """Check this machine: versions, extras, encoders, data, cache, free space."""
    from polymnia.doctor import check

    found = check()
    _show(found, ["what", "state", "detail"], as_json)


@cache.callback()
def cache_show(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what the cache holds."""
    if context.invoked_subcommand is None:
        from polymnia.encoders.cache import size_report

        _show(size_report(), ["encoder", "values", "megabytes"], as_json)


@cache.command("clear")
def cache_clear(encoder: Annotated[str | None, typer.Argument(help="One encoder only.")] = None) -> None:
    """Remove what encoders have computed; it is computed again when needed."""
    from polymnia.encoders.cache import clear

    say(f"removed {clear(encoder) / 1e6:,.1f} MB")


def _show(rows: list[dict[str, Any]], columns: list[str], as_json: bool) -> None:
    if as_json:
        say(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        table(columns, [[_cell(row.get(column)) for column in columns] for row in rows])


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple | dict):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
