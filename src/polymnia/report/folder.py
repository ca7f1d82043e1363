"""What a run folder says: read once, checked, and handed to the pages."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymnia.errors import StateError
from polymnia.evaluation.scores import Scores, read_scores

SHOWN = 20
"""Rejected samples that a report lists; the rest are counted."""


@dataclass(frozen=True, kw_only=True)
class Rejects:
    """What was set aside: how many for each reason, and the first rows."""

    count: int
    reasons: tuple[tuple[str, int], ...]
    first: tuple[dict[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """One run as its folder tells it."""

    path: Path
    settings: dict[str, Any]
    stream: dict[str, Any]
    environment: dict[str, Any]
    scores: Scores
    events: tuple[dict[str, Any], ...] = ()
    rejects: Rejects = Rejects(count=0, reasons=(), first=())
    examples: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Stage → the examples of texts in its folder."""
    conflict: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Stage → the gradients of reading and drawing in its folder."""
    drawings: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Stage → the pictures in its folder."""

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.settings["method"]["name"])

    @property
    def total_stages(self) -> int:
        """How many stages the stream has; a run under way has scored fewer."""
        return len(self.stream["stages"])

    @property
    def done(self) -> bool:
        """Whether every stage is scored."""
        return len(self.scores.stages) == self.total_stages


def read_run(folder: Path, *, whole: bool = True) -> RunFolder:
    """Return what a run folder says.

    Parameters
    ----------
    folder : Path
        Of a run that has scored at least one stage.
    whole : bool
        Read the events, the rejected samples and what probes left in the stages' folders too.

    Raises
    ------
    StateError
        It is not a run, has no scores yet, or one of its files is damaged; the message names the file.
    """
    if not (folder / "settings.json").is_file():
        raise StateError(f"{folder} is not a run: it has no settings.json")
    scores = read_scores(folder)
    run = RunFolder(
        path=folder,
        settings=_mapping(folder / "settings.json", needs=("method", "stream")),
        stream=_mapping(folder / "stream.json", needs=("name", "scenario", "stages", "card")),
        environment=_mapping(folder / "environment.json", needs=()),
        scores=scores,
        events=tuple(_events(folder / "events.jsonl")) if whole else (),
        rejects=_rejects(folder / "rejected.jsonl") if whole else RunFolder.rejects,
        examples=_records(folder / "stages", "examples", needs=("tests",)) if whole else {},
        conflict=_records(folder / "stages", "conflict", needs=("steps", "series", "layers")) if whole else {},
        drawings=_records(folder / "stages", "drawing", needs=("pictures",)) if whole else {},
    )
    if not scores.stages:
        raise StateError(f"{folder / 'scores.json'} has no stage: the run has not finished one yet")
    return run


def numbered(index: int, name: str) -> str:
    """Return a stage's name with its number in front, unless it begins with it.

    Examples
    --------
    >>> numbered(0, "01-cats"), numbered(1, "dogs")
    ('01-cats', '2 · dogs')
    """
    number = index + 1
    return name if name.startswith((f"{number:02d}", f"{number}-")) else f"{number} · {name}"


def _mapping(path: Path, *, needs: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StateError(f"{path} is missing: the run folder is not complete") from None
    except ValueError as error:
        raise StateError(f"{path} is damaged: {error}") from None
    lacking = [name for name in needs if not isinstance(content, dict) or name not in content]
    if lacking:
        raise StateError(f"{path} is damaged: it has no {lacking[0]!r}")
    return content


def _lines(path: Path, *, torn: bool) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines, which need not be there; `torn` lines may be passed over."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield dict(json.loads(line))
            except (ValueError, TypeError):
                if not torn:
                    raise StateError(f"{path} is damaged: line {number} is not a JSON object") from None


def _events(path: Path) -> list[dict[str, Any]]:
    """Return the events; where a resumed run did steps again, the later ones count."""
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for event in _lines(path, torn=True):  # a kill can cut a line short; no score depends on it
        latest[tuple(event.get(name) for name in ("kind", "stage", "epoch", "step", "name"))] = event
    return sorted(latest.values(), key=lambda event: event.get("time", 0.0))


def _records(stages: Path, probe: str, *, needs: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return what the folders of stages hold of a probe; by folders that are there, not by names in other files."""
    return {path.parent.name: _mapping(path, needs=needs) for path in sorted(stages.glob(f"*/{probe}.json"))}


def _rejects(path: Path) -> Rejects:
    reasons: Counter[str] = Counter()
    first: list[dict[str, str]] = []
    for row in _lines(path, torn=False):
        reasons[str(row.get("reason", ""))] += 1
        if len(first) < SHOWN:
            first.append({name: str(row.get(name, "")) for name in ("id", "modality", "value", "reason")})
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return Rejects(count=reasons.total(), reasons=tuple(ranked[:SHOWN]), first=tuple(first))
