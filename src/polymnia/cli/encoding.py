"""The verb that encodes everything before a run, on this machine or on many."""

from typing import TYPE_CHECKING, Annotated, cast

import typer

from polymnia.cli.console import encoding, progress, say, table

if TYPE_CHECKING:
    from polymnia.encoders.filling import Filled


def encode(
    given: Annotated[str, typer.Argument(metavar="CONFIG|DATA", help="A run's settings file, or data of your own.")],
    settings: Annotated[list[str] | None, typer.Argument(help="Settings of it as key=value.")] = None,
    encoders: Annotated[
        str | None, typer.Option(help="bundled, or modality=encoder,…; default: the settings file's, or bundled.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local: this process. ray: the workers of a Ray cluster.")] = "local",
    workers: Annotated[int | None, typer.Option(help="With Ray: blocks of values encoded at once.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Encode all samples into this machine's cache, so that a later run computes none of it."""
    import json

    from polymnia.cluster import Engine, engine_asked_for
    from polymnia.training.encoding_ahead import encode_ahead

    asked = cast("Engine", engine_asked_for(engine))
    with progress() as listen:
        done = encode_ahead(
            given, settings or [], encoders=_named(encoders), engine=asked, workers=workers, progress=encoding(listen)
        )
    if as_json:
        say(json.dumps({modality: each.to_json() for modality, each in done.items()}, indent=1, ensure_ascii=False))
    else:
        _show(done)


def _named(given: str | None) -> dict[str, str] | str | None:
    """Return encoders as settings have them.

    Examples
    --------
    >>> _named("image=efficientnet-lite0,text=minilm")
    {'image': 'efficientnet-lite0', 'text': 'minilm'}
    """
    if given is None or "=" not in given:
        return given
    pairs = (each.split("=", 1) for each in given.split(",") if "=" in each)
    return {modality.strip(): name.strip() for modality, name in pairs}


def _show(done: "dict[str, Filled]") -> None:
    rows = [
        [modality, each.encoder, f"{each.values:,}", f"{each.computed:,}", f"{each.found:,}", f"{len(each.broken):,}"]
        for modality, each in done.items()
        if each.kept
    ]
    if rows:
        table(["modality", "encoder", "values", "computed", "in the cache already", "broken"], rows)
    for modality, each in done.items():
        if not each.kept:
            say(f"{modality}: {each.encoder} reads ready numbers, which no cache needs to keep")
        for sample, reason in list(each.broken.items())[:5]:
            say(f"  broken: {sample} ({modality}): {reason}")
        if len(each.broken) > 5:
            say(f"  … and {len(each.broken) - 5:,} more (--json lists them)")
