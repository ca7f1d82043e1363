"""A run's settings in full, with its parts' defaults: so that a changed default is a changed setting."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

from polymnia.data.scenario import SCENARIOS
from polymnia.data.source import SOURCES
from polymnia.methods.base import METHODS
from polymnia.training.build import model_in_full
from polymnia.training.settings import RunSettings


def in_full(settings: RunSettings) -> dict[str, Any]:
    """Return settings as JSON in which a method, model, source and scenario have every setting they run with."""
    stream = settings.stream
    scenario = SCENARIOS.get(stream.get("scenario", "class-incremental"))
    full = asdict(settings) | {
        "method": of_method(settings.method),
        "model": model_in_full(settings),
        "stream": with_defaults(scenario, of_source(stream)),
    }
    return json.loads(json.dumps(full, default=_plain))


def of_method(given: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return a method's settings in full, and those of the methods that it is made of."""
    named = {"name": given} if isinstance(given, str) else given
    full = with_defaults(METHODS.get(named["name"]), named)
    return {**full, "of": [of_method(each) for each in full["of"]]} if "of" in full else full


def of_source(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source's settings in full, and those of the sources that it is made of."""
    full = with_defaults(SOURCES.get(given["name"]), given)
    return {**full, **{name: _inner(value) for name, value in full.items()}}


def _inner(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_inner(part) for part in value]
    return of_source(value) if isinstance(value, Mapping) and value.get("name") in SOURCES else value


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def with_defaults(part: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given, and the default of each other setting of a part."""
    defaults: dict[str, Any] = {}
    for field in fields(part.Settings):
        if field.default is not MISSING:
            defaults[field.name] = field.default
        elif field.default_factory is not MISSING:
            defaults[field.name] = field.default_factory()
    return {**given, **{name: value for name, value in defaults.items() if name not in given}}
