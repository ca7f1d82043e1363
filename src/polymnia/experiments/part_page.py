"""The page of every registered part that has no page of its own: what it is, where it stands, what may be set."""

from importlib import import_module
from typing import Any

from polymnia.experiments.described import first_line, settings_table
from polymnia.registry import NoSettings, Registry

NOTE = "<!-- Made from the code by `make docs`. Do not edit: change the docstrings. -->"
KINDS = (
    ("Sources", "stream.name", "polymnia.data.source", "SOURCES"),
    ("Scenarios", "stream.scenario", "polymnia.data.scenario", "SCENARIOS"),
    ("Modalities", "kinds of a manifest", "polymnia.data.modality", "MODALITIES"),
    ("Encoders", "encoders.MODALITY", "polymnia.encoders.base", "ENCODERS"),
    ("Hosts", "model.host", "polymnia.hosts.base", "HOSTS"),
    ("Fusions", "model.fusion", "polymnia.layers.fusion", "FUSIONS"),
    ("Heads", "model.head", "polymnia.layers.heads", "HEADS"),
    ("Projectors", "model.projector", "polymnia.layers.projectors", "PROJECTORS"),
    ("Adapters", "model.adapter", "polymnia.layers.adapters.base", "ADAPTERS"),
    ("Prompts", "model.prompts", "polymnia.layers.prompts.base", "PROMPTS"),
    ("Deltas", "model.delta", "polymnia.layers.deltas.base", "DELTAS"),
    ("Codebooks", "model.codebook", "polymnia.layers.codebooks.base", "CODEBOOKS"),
    ("Objectives", "model.objective", "polymnia.layers.objectives.base", "OBJECTIVES"),
    ("Translators", "method.translator", "polymnia.layers.translators.base", "TRANSLATORS"),
    ("Memories", "method.policy", "polymnia.memory.base", "MEMORIES"),
    ("Probes", "evaluation.probes", "polymnia.evaluation.probes.base", "PROBES"),
    ("Trackers", "trackers", "polymnia.training.trackers", "TRACKERS"),
)
"""Heading, the place in the settings, and the registry."""


def part_page() -> str:
    """Return the page."""
    parts = [
        NOTE,
        "# Registered parts",
        "Every name that settings may hold, with what may be set of it. Methods and families have [pages of their "
        "own](../methods/index.md).",
    ]
    for heading, place, module, registry in KINDS:
        held: Registry[Any] = getattr(import_module(module), registry)
        parts += [f"## {heading}", f"In the settings: `{place}`."]
        for name in held:
            kind = held.get(name)
            parts += [f"### `{name}`", f"{first_line(kind)} `src/{kind.__module__.replace('.', '/')}.py`"]
            settings = getattr(kind, "Settings", NoSettings)
            if settings is not NoSettings and settings.__dataclass_fields__:
                parts.append(settings_table(settings))
    return "\n\n".join(parts) + "\n"
