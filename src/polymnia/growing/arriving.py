"""From new data to the next stage of a model: its classes are found by name among those that are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from polymnia.config import part
from polymnia.data.samples import Samples
from polymnia.data.scenario import SCENARIOS, Scenario, cut
from polymnia.data.source import Source
from polymnia.data.stage import Kept, Stage, Stream
from polymnia.errors import DataError, SettingsError
from polymnia.growing.kept import renumbered
from polymnia.models.base import MODELS
from polymnia.training.run import encoded
from polymnia.training.settings import RunSettings


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a model has learned so far.

    Parameters
    ----------
    stages : tuple of Kept
        With their test sets.
    class_names : tuple of str
        By class index.
    kinds : Mapping
        Modality → kind of signal.
    """

    stages: tuple[Kept, ...] = ()
    class_names: tuple[str, ...] = ()
    kinds: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Arrived:
    """A stream of what a model knows and one stage more, and that stage's raw test samples."""

    stream: Stream
    raw_test: Samples


def arrived(
    source: Source,
    name: str,
    known: Known,
    settings: RunSettings,
    *,
    valid: float,
    test: float,
    listen: Callable[[dict[str, Any]], None] = lambda event: None,
) -> Arrived:
    """Return the stream that a model learns from next.

    Parameters
    ----------
    source : Source
        The new data.
    name : str
        Of the stage.
    known : Known
        What the model has learned.
    settings : RunSettings
        Of its runs.
    valid, test : float
        Shares of the samples, where the data has no splits of its own.
    listen : callable
        Gets an event as values are encoded.

    Raises
    ------
    DataError
        The data cannot be used, has no test samples, or a modality of it has the name of another kind of signal.
    SettingsError
        A modality has no encoder.
    """
    least = 1 if known.class_names else 2
    new = cut(source, _scenario(settings), valid=valid, test=test, least=least)
    kinds = {**(known.kinds or {}), **new.kinds}
    for modality, kind in (known.kinds or {}).items():
        if kinds[modality] != kind:
            raise DataError(f"{modality} is {kinds[modality]} in {source.name}, and {kind} in what the model knows")
    names = (*known.class_names, *(n for n in new.class_names if n not in known.class_names))
    number = {local: names.index(label) for local, label in enumerate(new.class_names)}
    [raw] = new.stages
    stage = _at_place(raw, name, number, known.stages)
    if not len(stage.test):
        raise DataError(
            f"{source.name} gives no test samples, so that the stage could not be judged; give more samples"
        )
    wanted = replace(settings, encoders=_encoders(settings, new.kinds))
    fresh = encoded(replace(new, stages=(stage,), class_names=names), wanted, listen=listen)
    [ready] = fresh.stages
    stages = (*known.stages, replace(ready, earlier=known.stages))
    return Arrived(replace(fresh, stages=stages, kinds=kinds), raw.test)


def _scenario(settings: RunSettings) -> Scenario:
    """Return what makes one stage of new data: of pairs where the family is a shared space."""
    family, own = part(MODELS, settings.model, "model")
    if "space" not in family.provides:
        return SCENARIOS.get("single")(seed=settings.seed)
    kind = SCENARIOS.get("pairing")
    return kind(kind.Settings(mediator=own.mediator, at_once=True), seed=settings.seed)


def _at_place(raw: Stage, name: str, number: Mapping[int, int], earlier: tuple[Kept, ...]) -> Stage:
    """Return a stage as the next one, its classes numbered as the model numbers them."""
    parts = {split: renumbered(getattr(raw, split), number) for split in ("train", "valid", "test")}
    classes = tuple(sorted(number[c] for c in raw.classes))
    return replace(raw, index=len(earlier), name=name, classes=classes, earlier=(), **parts)


def _encoders(settings: RunSettings, kinds: Mapping[str, str]) -> dict[str, Any] | str:
    """Return the encoders of some modalities."""
    held = settings.encoders
    if isinstance(held, str):
        return held
    lacking = sorted(set(kinds) - set(held))
    if lacking:
        raise SettingsError(
            f"{lacking[0]} ({kinds[lacking[0]]}) has no encoder in this model. Give one when it first arrives: "
            f"encoders.{lacking[0]}=NAME; `polymnia encoders` lists what reads what"
        )
    return {modality: held[modality] for modality in kinds}
