"""The verb that runs a grid of settings and compares the runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from polymnia.cli.console import progress, say

if TYPE_CHECKING:
    from polymnia.experiments.sweep import Swept


def sweep(
    config: Annotated[Path, typer.Argument(help="A YAML file of settings; see configs/.")],
    grid: Annotated[list[str] | None, typer.Argument(help="key=v1,v2 …: every combination is a run.")] = None,
    seeds: Annotated[str | None, typer.Option(help="0,1,2: each combination with each; default: the file's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the runs go; default runs/sweeps/<name of the file>.")] = None,
    engine: Annotated[str, typer.Option(help="local: this machine's processes. ray: tasks of a cluster.")] = "local",
    jobs: Annotated[int | None, typer.Option(help="Runs at once; default 1, or all cores of the cluster.")] = None,
    fresh: Annotated[bool, typer.Option(help="Do every run again, also those that are done.")] = False,
    keep_weights: Annotated[bool, typer.Option(help="Without them, scores and logs stay only.")] = True,
    baseline: Annotated[str | None, typer.Option(help="The method that the others are paired with.")] = None,
) -> None:
    """Run every combination of settings, each in a folder, and compare them; what is done is not done again."""
    from polymnia.cluster import Engine, engine_asked_for
    from polymnia.experiments.sweep import sweep as swept

    folder, asked = out or Path("runs/sweeps") / config.stem, cast("Engine", engine_asked_for(engine))
    with progress() as listen:

        def hear(event: dict[str, Any]) -> None:
            _tell(event)
            listen(event)

        done = swept(
            config, grid or [], seeds=_seeds(seeds), out=folder, engine=asked, jobs=jobs, fresh=fresh,
            keep_weights=keep_weights, listen=hear,
        )  # fmt: skip
    _compare(done, folder, baseline)


def _seeds(given: str | None) -> list[int] | None:
    from polymnia.errors import SettingsError

    if given is None:
        return None
    try:
        return [int(each) for each in given.split(",")]
    except ValueError:
        raise SettingsError(f"--seeds: {given!r} is given; write whole numbers with commas, such as 0,1,2") from None


def _tell(event: dict[str, Any]) -> None:
    if event["kind"] == "sweep":
        done = event["runs"] - event["left"]
        say(f"{event['runs']} runs" + (f", {done} of them done already" if done else ""))
    elif event["kind"] == "end":
        say(f"{event['folder']}: final average {event['final_average']:.3f}")
    elif event["kind"] == "missing":
        say(f"{event['stream']} is left out: {event['reason']}")


def _compare(done: "Swept", folder: Path, baseline: str | None) -> None:
    from polymnia.errors import MissingExtra, StateError
    from polymnia.report.compare import compare, write_comparison

    if not done.folders:
        raise StateError(f"no run of {folder} could be done: {next(iter(done.missing.values()))}")
    found = compare(done.folders, baseline=baseline)
    say(found.text())
    try:
        say(f"Comparison: {write_comparison(found, folder)}")
    except MissingExtra as error:
        say(f"No comparison page: {error}")
