"""The verbs that make a run's samples findable: across modalities, in any direction."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polymnia.cli.console import encoding, progress, say, table
from polymnia.cli.growing import run_folder

if TYPE_CHECKING:
    from polymnia.data.source import Dataset

Folder = Annotated[Path, typer.Argument(help="A run or model folder.")]
OfStage = Annotated[str | None, typer.Option("--stage", help="A finished stage; default: the newest.")]


def index(
    folder: Folder,
    settings: Annotated[list[str] | None, typer.Argument(help="Settings of --data as key=value.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A manifest, a settings file or a source; default: what the run or model learned from."),
    ] = None,
    stage: OfStage = None,
    fresh: Annotated[bool, typer.Option(help="Begin this stage's index again.")] = False,
    to: Annotated[
        str | None, typer.Option(help="s3://bucket/prefix: keep the table there; default: in the run folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Embed samples with what a run has learned, so that `polymnia search` finds them."""
    import json
    from dataclasses import asdict

    from polymnia.errors import SettingsError
    from polymnia.serving.content import read_data
    from polymnia.serving.index import REJECTED, build_index
    from polymnia.serving.table import index_bytes, place, read_about, where

    if settings and data is None:
        raise SettingsError(f"{settings[0]!r} is a setting of --data, and no --data is given")
    name, dataset = _own(folder) if data is None else read_data(data, settings or [])
    folder = run_folder(folder)
    with progress() as listen:
        found = build_index(folder, dataset, name=name, stage=stage, fresh=fresh, to=to, progress=encoding(listen))
    at = place(folder, read_about(where(folder)))
    if as_json:
        say(json.dumps({**asdict(found), "rows": found.rows, "bytes": index_bytes(folder),
                         "at": str(at)}, indent=1))  # fmt: skip
        return
    table(["modality", "rows"], [[modality, f"{rows:,}"] for modality, rows in found.modalities.items()])
    aside = sum(found.rejected.values())
    how = "approximate" if found.approximate else "exact"
    say(
        f"Index of stage {found.stage}: {found.rows:,} rows of {found.dimension} numbers, {how} search, "
        + (f"in {at}" if isinstance(at, str) else f"{index_bytes(folder) / 1e6:,.1f} MB")
        + (f"; {aside} values set aside: {where(folder) / REJECTED}" if aside else "")
    )
    say(f'Ask it: polymnia search {folder} "…"')


def _own(folder: Path) -> "tuple[str, Dataset | None]":
    """Return what a model folder learned from; a run knows its own stream."""
    from polymnia.growing.book import BOOK, ModelFolder
    from polymnia.growing.indexing import OWN, data_of
    from polymnia.serving.content import load_source

    if not (folder / BOOK).is_file():
        return "data", None
    model = ModelFolder(folder)
    return OWN, load_source(data_of(model, model.current))


def search(
    folder: Folder,
    query: Annotated[str, typer.Argument(help="A text, or a file; what kind of file is told by its content.")],
    within: Annotated[str | None, typer.Option("--in", help="A modality: only its values are answers.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    modality: Annotated[
        str | None, typer.Option("--as", help="The query's modality, where several are of its kind.")
    ] = None,
    stage: OfStage = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find what is nearest to a text, a picture, a sound …, among the values of all modalities or of one."""
    import json

    from polymnia.serving.asking import asked_for
    from polymnia.serving.search import Searcher

    asked = asked_for(query)
    hits = Searcher(run_folder(folder), stage=stage, often=False).search(asked, within=within, k=k, modality=modality)
    if as_json:
        say(json.dumps([hit.to_json() for hit in hits], indent=1, ensure_ascii=False))
        return
    table(
        ["score", "modality", "class", "value"],
        [[f"{hit.score:.3f}", hit.modality, hit.label or "", hit.value or hit.id] for hit in hits],
    )
