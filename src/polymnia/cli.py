"""The command `polymnia`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from polymnia.errors import PolymniaError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Grow one multimodal model stage by stage, and show what it kept.")  # fmt: skip


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A YAML file of settings; see configs/.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value …")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder.")] = None,
) -> None:
    """Train as a settings file says, stage by stage, and score."""
    from polymnia.config import read
    from polymnia.training.run import Run
    from polymnia.training.settings import run_settings

    settings = run_settings(read(config, overrides or []))
    folder = out or Path("runs") / config.stem
    scores = Run(settings, folder).go()
    print(f"final average {scores.final_average:.3f}, forgetting {scores.forgetting:.3f}: {folder / 'scores.json'}")  # noqa: T201


@app.command()
def resume(folder: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Go on with a run that was stopped."""
    from polymnia.training.run import resume as go_on

    scores = go_on(folder)
    print(f"final average {scores.final_average:.3f}, forgetting {scores.forgetting:.3f}: {folder / 'scores.json'}")  # noqa: T201


def main() -> None:
    """Run the command; errors made on purpose are printed without a traceback, exit 2."""
    try:
        app()
    except PolymniaError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
