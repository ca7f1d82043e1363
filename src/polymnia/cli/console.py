"""What the command prints: lines, tables and a progress bar; only the first of several processes prints."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from polymnia.evaluation.scores import Scores

Event = dict[str, Any]


def say(line: str) -> None:
    """Print a line as it is."""
    if first():
        Console(soft_wrap=True).print(line, markup=False, highlight=False)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns of numbers are on the right."""
    if not first():
        return
    drawn = Table(box=None, pad_edge=False)
    for at, name in enumerate(header):
        numbers = all(_is_number(row[at]) for row in rows)
        drawn.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn, markup=False)


def scores_line(scores: Scores) -> str:
    """Return the figures of a run in one line; plasticity stands beside forgetting."""
    return (
        f"final average {scores.final_average:.3f}, forgetting {scores.forgetting:.3f}, "
        f"learning accuracy {scores.learning_accuracy:.3f} over {len(scores.stages)} stages"
        + (f"; {scores.rejected} samples set aside" if scores.rejected else "")
    )


@contextmanager
def progress() -> Generator[Callable[[Event], None], None, None]:
    """Show a bar with rate and time left; yields what a run should tell its events to."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True, disable=not first(), console=Console(stderr=True)) as bar:
        yield _Listener(bar)


def encoding(listen: Callable[[Event], None]) -> Callable[[str, int, int], None]:
    """Return what tells a listener that values of a modality are read: it gets (modality, done, total)."""
    return lambda modality, done, total: listen({"kind": "encode", "name": modality, "done": done, "total": total})


class _Listener:
    """Turns events into the position of a bar."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task: TaskID | None = None

    def __call__(self, event: Event) -> None:
        if event["kind"] == "encode":
            self._show(f"encode {event['name']}", event["done"], event["total"], "")
        elif event["kind"] in ("step", "progress"):
            rate = f"{event['samples_per_second']:,.0f} samples/s"
            self._show(f"stage {event['stage'] + 1} of {event['stages']}", event["step"], event["total"], rate)
        elif event["kind"] == "taken":
            aside = f"; {event['others']} are not of its settings, and left aside" if event["others"] else ""
            self.bar.console.print(f"{event['runs']} runs are taken over{aside}")

    def _show(self, text: str, done: int, total: int, rate: str) -> None:
        if self.task is None:
            self.task = self.bar.add_task(text, total=total, rate=rate)
        self.bar.update(self.task, description=text, completed=done, total=total, rate=rate)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").split(" ")[0])
    except ValueError:
        return False
    return True


def first() -> bool:
    """Return whether this is the first of a run's processes, over all machines."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0) == 0
