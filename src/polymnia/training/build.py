"""From settings to objects: every name is looked up in its registry, every setting is checked beside its owner."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from polymnia.config import typed
from polymnia.data.scenario import SCENARIOS, Scenario, cut
from polymnia.data.source import SOURCES, Source
from polymnia.data.stage import Stream
from polymnia.encoders.base import ENCODERS, Encoder
from polymnia.errors import SettingsError
from polymnia.methods.base import METHODS, Method
from polymnia.models.base import MODELS, Model
from polymnia.randomness import Randomness
from polymnia.registry import Registry

BUNDLED = {"image": "efficientnet-lite0", "text": "minilm", "audio": "openwakeword", "table": "identity"}
"""The encoder of each kind of signal that `encoders: bundled` means."""


def part(registry: Registry[Any], given: Mapping[str, Any] | str, where: str) -> tuple[Any, Any]:
    """Return a registered class and its settings from ``{name: …, setting: …}`` or a bare name."""
    mapping = {"name": given} if isinstance(given, str) else dict(given)
    name = mapping.pop("name", None)
    if not isinstance(name, str):
        raise SettingsError(f"{where}.name is missing. Accepted: {', '.join(registry.names())}.")
    try:
        kind = registry.get(name)
    except SettingsError as error:
        raise SettingsError(f"{where}.name: {error}") from None
    return kind, typed(kind.Settings, mapping, where=where, owner=name)


def build_stream(given: Mapping[str, Any], *, seed: int) -> Stream:
    """Return the raw stream that settings describe.

    `stream` holds the source's settings, the scenario's settings, `valid`, `test` and, optionally, a `seed` of its
    own; a setting that both source and scenario have goes to the source.
    """
    mapping = dict(given)
    scenario_name = mapping.pop("scenario", "class-incremental")
    own_seed = mapping.pop("seed", seed)
    shares = {name: mapping.pop(name) for name in ("valid", "test") if name in mapping}
    source_kind: type[Source] = _look_up(SOURCES, mapping.pop("name", None), "stream.name")
    scenario_kind: type[Scenario] = _look_up(SCENARIOS, scenario_name, "stream.scenario")
    of_source = source_kind.Settings.__dataclass_fields__
    of_scenario = scenario_kind.Settings.__dataclass_fields__
    scenario_part = {k: v for k, v in mapping.items() if k in of_scenario and k not in of_source}
    source_part = {k: v for k, v in mapping.items() if k not in scenario_part}
    strange = [k for k in source_part if k not in of_source]
    if strange:
        typed(_both(source_kind, scenario_kind), {k: v for k, v in mapping.items()}, where="stream",
              owner=f"{source_kind.name} ({scenario_kind.name})")  # fmt: skip
    source = source_kind(typed(source_kind.Settings, source_part, where="stream", owner=source_kind.name))
    settings = typed(scenario_kind.Settings, scenario_part, where="stream", owner=scenario_kind.name)
    stream = cut(source, scenario_kind(settings, seed=own_seed), **shares)
    return replace(stream, settings={**given, "seed": own_seed})


def _look_up(registry: Registry[Any], name: Any, where: str) -> Any:
    if not isinstance(name, str):
        raise SettingsError(f"{where} is missing. Accepted: {', '.join(registry.names())}.")
    try:
        return registry.get(name)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None


def _both(source: type[Source], scenario: type[Scenario]) -> type[Any]:
    """Return a dataclass with the fields of both, for a message about a name that neither has."""
    from dataclasses import field, fields, make_dataclass

    every = {
        f.name: (f.name, f.type, field(default=None)) for part in (source, scenario) for f in fields(part.Settings)
    }
    return make_dataclass("Settings", list(every.values()))


def build_encoders(given: Mapping[str, Any] | str, kinds: Mapping[str, str]) -> dict[str, Encoder]:
    """Return an encoder for each modality of a stream."""
    if isinstance(given, str):
        if given != "bundled":
            raise SettingsError(
                f"encoders: {given!r} is given. Accepted: bundled, or a mapping of modality to encoder."
            )
        lacking = sorted({kind for kind in kinds.values() if kind not in BUNDLED})
        if lacking:
            raise SettingsError(f"encoders: no bundled encoder reads {', '.join(lacking)}; name one for each modality")
        given = {modality: BUNDLED[kind] for modality, kind in kinds.items()}
    built: dict[str, Encoder] = {}
    made: dict[str, Encoder] = {}
    for modality, named in given.items():
        kind, settings = part(ENCODERS, named, f"encoders.{modality}")
        if getattr(settings, "kind", "") is None:  # a checkpoint with several towers: take the one the stream needs
            settings = replace(settings, kind=kinds.get(modality))
        key = f"{kind.name} {settings}"
        built[modality] = made.setdefault(key, kind(settings))  # one network may serve two modalities
    return built


def build_model(given: Mapping[str, Any] | str, *, seed: int) -> Model:
    """Return an empty model; it grows with the first stage."""
    kind, settings = part(MODELS, given, "model")
    model: Model = kind(settings, seed=seed)
    return model


def build_method(given: Mapping[str, Any] | str, model: Model, *, seed: int) -> Method:
    """Return a method over a model."""
    kind, settings = part(METHODS, given, "method")
    method: Method = kind(model, settings, randomness=Randomness(seed))
    return method
