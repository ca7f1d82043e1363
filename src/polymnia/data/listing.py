"""What data sets there are: whose they are, how large, and how to get what is not here."""

from dataclasses import asdict
from typing import Any

from polymnia.data.source import SOURCES, Source
from polymnia.errors import PolymniaError


def listing(*names: str) -> list[dict[str, Any]]:
    """Return one entry a source, by name, ready for JSON: of the named ones, or of all.

    An entry holds the card (`title`, `licence`, `citation`, `homepage`, `notes`, `get`), and of what is on this
    machine, read with default settings: `samples`, `classes`, `groups`, `modalities` (modality → how many samples
    have it) and `kinds` (modality → kind of signal). `available` says whether it could be read, `state` the same in
    words: "ready", or what to do.

    Examples
    --------
    >>> [entry] = listing("digits")
    >>> entry["samples"], entry["classes"], entry["modalities"]
    (1797, 10, {'pixels': 1797, 'projections': 1797, 'spectrum': 1797})
    """
    return [_entry(SOURCES.get(name)) for name in names or SOURCES]


def _entry(source: type[Source]) -> dict[str, Any]:
    size: dict[str, Any] = dict.fromkeys(("samples", "classes", "groups", "modalities", "kinds"))
    state = source.card.get or "not here"
    available = source.available()
    if available:
        try:
            size, state = _size(source), "ready"
        except PolymniaError as error:  # a listing goes on past one set that is damaged, and says what is wrong
            available, state = False, str(error)
    return {"name": source.name, **size, **asdict(source.card), "available": available, "state": state}


def _size(source: type[Source]) -> dict[str, Any]:
    dataset = source().load()
    samples = dataset.samples
    groups = samples.columns.get("group")
    return {
        "samples": len(samples),
        "classes": len(dataset.class_names),
        "groups": len(set(groups.tolist()) - {""}) if groups is not None else None,
        "modalities": {m: int(samples.present[m].sum()) for m in samples.modalities},
        "kinds": dict(dataset.kinds),
    }
