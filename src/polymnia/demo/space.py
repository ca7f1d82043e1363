"""The demo's second part: pictures and captions, then spoken French, then sounds join one space, each by captions."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from polymnia.demo.folders import emptied
from polymnia.demo.queries import asked
from polymnia.errors import MissingExtra
from polymnia.evaluation.space import mediator
from polymnia.report.page import write_report
from polymnia.training.run import Run, prepare
from polymnia.training.settings import RunSettings, run_settings
from polymnia.training.trainer import Event

Say = Callable[[str], None]
Row = dict[str, Any]

STREAM = {"name": "stamps", "modalities": ["image", "text", "audio", "sound"], "language": "fr",
          "scenario": "pairing", "order": ["image", "audio", "sound"]}  # fmt: skip
SPEECH = {"name": "whisper-base", "seconds": 1.5}
"""With openwakeword, which the first part uses, speech finds its picture no better than chance."""
PROBES = ("pairs", "certificates", "paths")
SHOWN = {"image": "picture", "text": "caption", "audio": "spoken French", "sound": "sound"}
K = 10


def space_settings(*, path: str | None = None, seed: int = 0, speech: Any = SPEECH, epochs: int = 20) -> RunSettings:
    """Return the settings of the run: those of configs/space.yaml with fewer probes.

    Parameters
    ----------
    path : str, optional
        An unpacked stamps folder.
    seed : int
        Of the run.
    speech : str or Mapping
        The encoder of speech.
    epochs : int
        A stage.
    """
    return run_settings(
        {
            "stream": STREAM if path is None else {**STREAM, "path": path},
            "encoders": {"image": "efficientnet-lite0", "text": "minilm", "audio": speech, "sound": "openwakeword"},
            "model": {"name": "shared-space", "width": 128},
            "method": {"name": "comet"},
            "trainer": {"epochs": epochs, "batch_size": 64, "lr": 0.001, "clip": 1.0},
            "evaluation": {"probes": list(PROBES)},
            "seed": seed,
        }
    )


def grow_space(folder: Path, settings: RunSettings, *, listen: Callable[[Event], None], say: Say) -> dict[str, Any]:
    """Return what the space is like after each stage, and what spoken queries found in its index.

    Parameters
    ----------
    folder : Path
        Of the run; what an earlier demo left there is replaced.
    settings : RunSettings
        See `space_settings`.
    listen, say : callable
        Get events and lines.
    """
    say(f"\n2. One space that grows by modalities: {SHOWN['image']}, then {SHOWN['audio']}, then {SHOWN['sound']}. "
        "Each stage has pairs with\n   captions only. Encoding what is new (once)")  # fmt: skip
    began = time.perf_counter()
    run = Run(settings, emptied(folder), stream=prepare(settings, listen=listen), listen=lambda event: heard(event))
    stages: list[dict[str, Any]] = []

    def heard(event: Event) -> None:
        listen(event)
        if event["kind"] == "stage":
            stages.append(stage_found(run, event["stage"]))
            for line in stage_lines(stages):
                say(line)

    run.go()
    report = write_report(folder)
    try:
        queries: dict[str, Any] | None = asked(folder, seed=settings.seed, say=say)
    except MissingExtra as error:
        say(f"\n   No search: {error}")
        queries = None
    seconds = round(time.perf_counter() - began, 2)
    return {"folder": str(folder), "stages": stages, "queries": queries, "seconds": seconds, "report": str(report)}


# after a stage ------------------------------------------------------------------------------------------------


def stage_found(run: Run, place: int) -> dict[str, Any]:
    """Return what a run's probes found after its newest stage: retrieval with its chance level, and what stayed."""
    found = {name: run.evaluator.probing.found[name][-1] for name in PROBES}
    stage = run.stream[place]
    retrieval = [
        {"from": row["from"], "to": row["to"], "paired": row["seen"], "samples": row["samples"],
         "recall": row[f"R@{K}"], "chance": chance(row["samples"])}
        for row in found["pairs"].get("table", [])
    ]  # fmt: skip
    outputs = {name.removeprefix("identical "): bool(value) for name, value in found["certificates"].items()
               if name.startswith("identical ")}  # fmt: skip
    earlier = [row for row in found["paths"].get("table", []) if row["identical"] is not None]
    new = next(m for m in stage.modalities if m != mediator(run.method))
    old = [{**row, "chance": chance(row["samples"])} for row in earlier]
    return {"stage": stage.name, "new": new, "pairs": len(stage.train), "retrieval": retrieval,
            "outputs identical": outputs, "old paths": old}  # fmt: skip


def chance(candidates: int) -> float:
    """Return how often the right one of so many candidates is among ten drawn.

    Examples
    --------
    >>> chance(200), chance(4)
    (0.05, 1.0)
    """
    return min(1.0, K / max(candidates, 1))


def stage_lines(stages: list[dict[str, Any]]) -> list[str]:
    """Return what is said after the newest stage."""
    new, lines = stages[-1], []
    lines.append(f"\n   Stage {len(stages)}: {SHOWN[new['new']]}, by {new['pairs']} pairs with captions")
    for paired, title in ((True, "paired in training"), (False, "never paired")):
        rows = [row for row in new["retrieval"] if row["paired"] is paired]
        if rows:
            lines.append(f"     retrieval R@{K} among test samples, {title}:")
            lines += [f"       {way(row):26} {share(row['recall'])}   chance {share(row['chance'])}" for row in rows]
    for modality, same in new["outputs identical"].items():
        if modality in {stage["new"] for stage in stages}:
            lines.append(f"     old {SHOWN[modality]} vectors: {identical(same)}")
    if new["old paths"]:
        lines.append("     old retrieval, captions on their path of that stage; in brackets on their newest path:")
    for row in new["old paths"]:
        lines.append(f"       {way(row):26} {share(row['R@10 then'])} then, {share(row['R@10'])} now; vectors "
                     f"{identical(row['identical'])} ({share(row['R@10 newest']).strip()})")  # fmt: skip
    return lines


def way(row: Mapping[str, Any]) -> str:
    """Return an ordered pair of modalities in words."""
    return f"{SHOWN[row['from']]} → {SHOWN[row['to']]}"


def share(value: float) -> str:
    """Return a share in per cent.

    Examples
    --------
    >>> share(0.0529)
    ' 5.3 %'
    """
    return f"{100 * value:4.1f} %"


def identical(same: float) -> str:
    """Return in words whether outputs are the same."""
    return "unchanged to the last bit" if same else "CHANGED"
