"""A run's settings in full, with its parts' defaults: so that a changed default is a changed setting."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

from polymnia.data.scenario import SCENARIOS
from polymnia.data.source import SOURCES
from polymnia.methods.base import METHODS
from polymnia.models.base import MODELS
from polymnia.training.settings import RunSettings


def in_full(settings: RunSettings) -> dict[str, Any]:
    """Return settings as JSON in which a method, model, source and scenario have every setting they run with."""
    stream = settings.stream
    scenario = SCENARIOS.get(stream.get("scenario", "class-incremental"))
    full = asdict(settings) | {
        "method": with_defaults(METHODS.get(settings.method["name"]), settings.method),
        "model": with_defaults(MODELS.get(settings.model["name"]), settings.model),
        "stream": with_defaults(scenario, with_defaults(SOURCES.get(stream["name"]), stream)),
    }
    return json.loads(json.dumps(full, default=str))


def with_defaults(part: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given, and the default of each other setting of a part."""
    defaults: dict[str, Any] = {}
    for field in fields(part.Settings):
        if field.default is not MISSING:
            defaults[field.name] = field.default
        elif field.default_factory is not MISSING:
            defaults[field.name] = field.default_factory()
    return {**given, **{name: value for name, value in defaults.items() if name not in given}}
