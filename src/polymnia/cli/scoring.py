"""The verb that scores a run on data that it never saw."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polymnia.cli.console import encoding, progress, say, table
from polymnia.cli.growing import run_folder

if TYPE_CHECKING:
    from polymnia.serving.scoring import Evaluation


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A run or model folder.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[DATA] [KEY=VALUE]...", help="Data, and settings of it.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A source, a manifest, or a settings file; or say it behind the folder.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="A finished stage; default: the newest.")] = None,
    split: Annotated[str | None, typer.Option(help="Of the data's own splits only this: train, valid, test.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a run on data that it never saw: retrieval in a space, else accuracy over the classes that it knows."""
    import json

    from polymnia.data.own import source_asked_for, source_name
    from polymnia.errors import SettingsError
    from polymnia.serving.scoring import evaluate as scored

    given = words or []
    if data is None:
        if not given:
            raise SettingsError(
                f"evaluate: no data is given. polymnia evaluate {folder} DATA; DATA is what --data accepts, too"
            )
        data, *given = given
    asked = source_asked_for(data, given)
    with progress() as listen:
        found = scored(run_folder(folder), asked, stage=stage, split=split, progress=encoding(listen))
    if as_json:
        say(json.dumps(found.to_json(), indent=1, ensure_ascii=False, default=str))
    else:
        _show(found, source_name(asked))


def _show(found: "Evaluation", data: str) -> None:
    ks = tuple(found.retrieval[0].recall) if found.retrieval else ()
    rows = [
        [f"{way.asked} → {way.found}", "yes" if way.paired else "no", f"{way.candidates:,}",
         *(f"{way.recall[k]:.3f}" for k in ks), f"{way.chance:.3f}", f"{way.median_rank:,.1f}"]
        for way in found.retrieval
    ]  # fmt: skip
    if rows:
        recalls = [f"R@{k}" for k in ks]
        table(["", "paired", "among", *recalls, f"chance R@{ks[-1]}", "median rank"], rows)
    if found.classification is not None:
        about = found.classification
        said = f"accuracy {about.accuracy:.3f} over {about.of:,} samples"
        say(f"{said}; chance {1 / about.known:.3f}, of {about.known} classes that the run knows")
    why = "with one modality only" if rows else "of a class that the run does not know"
    say(
        f"{found.run}, stage {found.stage} ({found.method} over {found.model}, weights {found.weights[:12]})"
        f" on {data}"
        + (f", split {found.split}" if found.split else "")
        + f": {found.samples:,} samples"
        + (f", {found.left_out:,} left out, {why}" if found.left_out else "")
        + (f", {len(found.rejected):,} set aside (--json says why)" if found.rejected else "")
    )
