"""The verbs of a model in use: it grows by a stage at a time, and what breaks it is kept aside."""

import getpass
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polymnia.cli.console import progress, say, table

if TYPE_CHECKING:
    from polymnia.growing.polymnia import Decision
    from polymnia.growing.predicting import Answer, Prediction

Model = Annotated[Path, typer.Argument(help="A model folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
By = Annotated[str | None, typer.Option(help="Who decides, for the history; default: who is logged in.")]


def new(
    model: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value …, for instance trainer.epochs=20 limits.drop=0.01")
    ] = None,
    encoders: Annotated[str, typer.Option(help="MODALITY=ENCODER,…; default: the bundled ones.")] = "bundled",
    method: Annotated[
        str | None,
        typer.Option(help="What is done about forgetting; default: ranpac over a classifier, replay over others."),
    ] = None,
) -> None:
    """Make an empty model, which `polymnia learn` then grows."""
    from polymnia.config import read
    from polymnia.growing.polymnia import Polymnia

    named = {"method": {"name": method}} if method else {}
    given = {**named, "encoders": _pairs(encoders), "model": {"name": "classifier"}}
    given = _merged(given, read(None, overrides or []))
    made = Polymnia.new(model, **given)
    say(f"{made.folder.path} is ready. Grow it: polymnia learn {made.folder.path} DATA")


def learn(
    model: Model,
    data: Annotated[str, typer.Argument(help="A manifest, a folder a class, what `datasets` wrote, or a source.")],
    settings: Annotated[list[str] | None, typer.Argument(help="Settings of the data; limits.drop=…")] = None,
    name: Annotated[str | None, typer.Option(help="Of the stage; default: that of the data.")] = None,
    force: Annotated[bool, typer.Option(help="Take it into use against the verdict; it is written down.")] = False,
    ask: Annotated[bool, typer.Option(help="Keep it aside, whatever the verdict, until it is accepted.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Add a stage: it is learned beside the model in use, judged by every kept test set, and accepted or kept aside."""
    from polymnia.config import read
    from polymnia.data.own import source_asked_for
    from polymnia.growing.polymnia import Polymnia

    given = [word for word in settings or [] if not word.startswith("limits.")]
    limits = read(None, [word for word in settings or [] if word.startswith("limits.")]).get("limits", {})
    asked = source_asked_for(data, given)
    grown = Polymnia(model)
    with progress() as listen:
        found = grown.learn(asked, name=name, limits=limits, force=force, ask=ask, by=_who(by), listen=listen)
    if as_json:
        said = {
            "version": found.version,
            "accepted": found.accepted,
            "lost": found.lost,
            "verdict": found.verdict.to_json(),
        }
        say(json.dumps(said, indent=1, ensure_ascii=False))
    else:
        _show(found)
    if not found.accepted and not ask:
        raise typer.Exit(3)


def _show(found: "Decision") -> None:
    rows = [
        [c.stage, c.metric, f"{c.samples:,}", *("–" if s is None else f"{s:.3f}" for s in (c.before, c.after)),
         f"{c.change:+.3f}", "–" if c.new else f"{len(c.broke)}"]
        for c in found.verdict.compared
    ]  # fmt: skip
    table(["test set", "metric", "samples", "before", "after", "change", "broke"], rows)
    for reason in found.verdict.why:
        say(f"! {reason}")
    if found.lost:
        say(f"! it cannot be searched as the version before it could: {found.lost}. See `polymnia index`")
    what = "accepted, and in use" if found.accepted else "kept aside; the model in use is as it was"
    if found.accepted and not found.verdict.accepted:
        what = "in use against the verdict, as asked for"
    say(f"{found.version}: {what}. What it cost: {found.folder / 'verdict.html'}")


def history(model: Model, as_json: AsJson = False) -> None:
    """Show everything that happened to a model."""
    from polymnia.growing.polymnia import Polymnia

    grown = Polymnia.from_pretrained(model)
    entries, current = grown.history(), grown.version
    if as_json:
        said = {"in use": current, "history": [asdict(entry) for entry in entries]}
        say(json.dumps(said, indent=1, ensure_ascii=False))
        return
    rows = [[e.at, e.what, e.version, e.by, _scores(e.scores)] for e in entries]
    table(["when", "what", "version", "by", "scores by stage"], rows)
    say(f"In use: {current or 'nothing yet'}")


def predict(
    model: Model,
    things: Annotated[list[str], typer.Argument(help="Files or texts, one thing each; MODALITY=FILE … is one.")],
    top: Annotated[int, typer.Option(help="How many classes to name.")] = 3,
    ask: Annotated[str, typer.Option(help="Of a model that writes: a question; default: a caption.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say what files or texts are: the likeliest classes, each with its probability, or what the model writes."""
    from polymnia.growing.polymnia import Polymnia

    grown = Polymnia.from_pretrained(model)
    names, columns = _columns(grown, things)
    writes = "text" in grown.learned.method.model.provides
    found = grown.answer(columns, question=ask) if writes else grown.predict(columns, top=top)
    if as_json:
        said = [{"of": name, **asdict(each)} for name, each in zip(names, found, strict=True)]
        say(json.dumps(said, indent=1, ensure_ascii=False))
        return
    rows = [[name, _said(each) or "; ".join(f"{m}: {reason}" for m, reason in each.broken.items())]
            for name, each in zip(names, found, strict=True)]  # fmt: skip
    table(["of", "is"], rows)


def _said(found: "Prediction | Answer") -> str:
    """Return what is said of a thing in a line."""
    from polymnia.growing.predicting import Prediction

    if isinstance(found, Prediction):
        return ", ".join(f"{label} {p:.3f}" for label, p in found.classes)
    return found.text


def rollback(
    model: Model, stage: Annotated[str, typer.Argument(help="A version, its number, or its stage.")], by: By = None
) -> None:
    """Put an earlier version of a model into use; nothing is deleted."""
    from polymnia.growing.polymnia import Polymnia

    say(f"In use: {Polymnia(model).rollback(stage, by=_who(by))}")


def accept(
    model: Model, version: Annotated[str, typer.Argument(help="A version that was kept aside.")], by: By = None
) -> None:
    """Take a version that waits or was kept aside into use; who did so is written down."""
    from polymnia.growing.polymnia import Polymnia

    Polymnia(model).accept(version, by=_who(by))
    say(f"In use: {version}")


def reject(
    model: Model, version: Annotated[str, typer.Argument(help="A version that was kept aside.")], by: By = None
) -> None:
    """Note that a version which waits or was kept aside is not wanted; its folder stays."""
    from polymnia.growing.polymnia import Polymnia

    Polymnia(model).reject(version, by=_who(by))
    say(f"{version}: rejected")


def export(model: Model, into: Annotated[Path, typer.Argument(help="A folder that is not there yet.")]) -> None:
    """Write the version in use for others: weights, settings, a card, and ONNX where the model allows it."""
    from polymnia.growing.polymnia import Polymnia

    made = Polymnia(model).export(into)
    say(f"{made.folder}: model.safetensors, config.json, README.md; ONNX: {made.onnx}")


def run_folder(folder: Path) -> Path:
    """Return a run folder: the one in use, where a model folder is given."""
    from polymnia.growing.book import BOOK, ModelFolder

    return ModelFolder(folder).current if (folder / BOOK).is_file() else folder


def _scores(scores: Mapping[str, float | None]) -> str:
    return ", ".join("–" if score is None else f"{score:.3f}" for score in scores.values())


def _columns(grown: Any, things: list[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """Return what each thing is called, and the values by modality; words of MODALITY=FILE are of one thing."""
    from polymnia.serving.asking import asked_for, modality_of

    learned = grown.learned
    named = [word.partition("=") for word in things]
    if all(mark and modality in learned.kinds for modality, mark, _ in named):
        return [", ".join(things)], {modality: [asked_for(value)] for modality, _, value in named}
    values = [asked_for(word) for word in things]
    modalities = [modality_of(value, learned) for value in values]
    columns = {
        m: [value if modality == m else None for value, modality in zip(values, modalities, strict=True)]
        for m in dict.fromkeys(modalities)
    }
    return things, columns


def _pairs(given: str) -> dict[str, str] | str:
    """Return modality → encoder of "image=…,text=…"; a word alone stays what it is."""
    if "=" not in given:
        return given
    return dict(part.split("=", 1) for part in given.split(",") if "=" in part)


def _merged(given: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    both = {**given, **more}
    for key in given.keys() & more.keys():
        if isinstance(given[key], dict) and isinstance(more[key], dict):
            both[key] = _merged(given[key], more[key])
    return both


def _who(by: str | None) -> str:
    try:
        return by if by is not None else getpass.getuser()
    except (KeyError, OSError):  # a process without a user's name
        return ""
