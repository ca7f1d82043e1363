"""The verbs that make, continue and show runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from polymnia.cli import checking, encoding, growing, listings, scoring, searching, serving, sweeping
from polymnia.cli.console import first, progress, say, scores_line, table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Grow one multimodal model stage by stage over frozen encoders, and show what it kept.",
)
app.add_typer(listings.data, name="data")
app.add_typer(listings.cache, name="cache")
for verb in (
    checking.check, encoding.encode, sweeping.sweep, listings.streams, listings.encoders, listings.hosts,
    listings.methods, listings.doctor, searching.index, searching.search, scoring.evaluate, growing.new, growing.learn,
    growing.history, growing.predict, growing.rollback, growing.accept, growing.reject, growing.export, serving.serve,
):  # fmt: skip
    app.command()(verb)

Folder = Annotated[Path, typer.Argument(help="A run folder.")]
Folders = Annotated[list[Path], typer.Argument(help="Run folders.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value …, for instance method.name=ewc seed=1")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
    seed: int = 0,
    path: Annotated[Path | None, typer.Option(help="An unpacked stamps folder, on machines without apt.")] = None,
) -> None:
    """Learn real stamps: classes in five stages by five methods, then a space of pictures, speech and sounds."""
    from polymnia.demo import run_demo

    with progress() as listen:
        summary = run_demo(out, seed=seed, path=path, listen=listen, say=say, tell=_compared)
    say(f"\nReport: {summary['report']}")


def _compared(runs: list[dict[str, Any]]) -> None:
    keys = ("final_average", "forgetting", "learning_accuracy")
    rows = [[run["method"], *(f"{run[key]:.3f}" for key in keys), f"{run['seconds']:.1f}"] for run in runs]
    table(["method", "final average", "forgetting", "learning accuracy", "seconds"], rows)


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A YAML file of settings; see configs/.")],
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; default runs/<name of the settings file>.")] = None,
) -> None:
    """Train as a settings file says, stage by stage, score, and write the report."""
    from polymnia.config import read
    from polymnia.training.run import Run
    from polymnia.training.settings import run_settings

    settings = run_settings(read(config, overrides or []))
    folder = out or Path("runs") / config.stem
    with progress() as listen:
        scores = Run(settings, folder, listen=listen).go()
    _finish(folder, scores_line(scores))


@app.command()
def resume(folder: Folder) -> None:
    """Go on with a run that was stopped, from its newest state."""
    from polymnia.training.run import resume as go_on

    with progress() as listen:
        scores = go_on(folder, listen=listen)
    _finish(folder, scores_line(scores))


def _finish(folder: Path, line: str) -> None:
    """Write the report and say where everything is."""
    from polymnia.errors import MissingExtra

    if not first():
        return
    say(line)
    say(f"Scores: {folder / 'scores.json'}")
    try:
        _report(folder)
    except MissingExtra as error:
        say(f"No report: {error}")


def _report(folder: Path) -> None:
    from polymnia.report.page import write_report

    say(f"Report: {write_report(growing.run_folder(folder))}")


@app.command()
def report(folder: Folder) -> None:
    """Write a run's report again: one HTML file that needs no network."""
    _report(folder)


@app.command()
def compare(
    folders: Folders,
    out: Annotated[Path | None, typer.Option(help="Write an HTML page here too.")] = None,
    baseline: Annotated[str | None, typer.Option(help="The method that the others are paired with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: mean ± 95 % interval over seeds, paired differences, and what was not matched."""
    import json

    from polymnia.report.compare import compare as compared
    from polymnia.report.compare import write_comparison

    found = compared(folders, baseline=baseline)
    say(json.dumps(found.to_json(), indent=1) if as_json else found.text())
    if out is not None:
        say(f"Comparison: {write_comparison(found, out)}")


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="A name in experiments/, or a YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="seeds=2 …; the result is marked partial")] = None,
    fresh: Annotated[bool, typer.Option(help="Do every run again, also those that are done.")] = False,
    jobs: Annotated[int, typer.Option(help="How many processes do runs at once.")] = 1,
    taken: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Its results so far, made on another machine: those runs are not done again."),
    ] = None,
) -> None:
    """Run an experiment (runs × methods × seeds) and decide the claims written down before it."""
    from polymnia.experiments import reproduce as run_experiment

    with progress() as listen:
        found = run_experiment(
            name, overrides=overrides or [], listen=listen, fresh=fresh, jobs=jobs, taken=taken or []
        )
    say(found.text())
