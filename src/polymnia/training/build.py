"""From settings to objects: every name is looked up in its registry, every setting is checked beside its owner."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from polymnia.config import Named, part, typed
from polymnia.data.scenario import SCENARIOS, Scenario, cut
from polymnia.data.source import SOURCES, Source
from polymnia.data.stage import Stream
from polymnia.encoders.base import ENCODERS, Encoder
from polymnia.encoders.trunk import Trunk
from polymnia.errors import SettingsError
from polymnia.methods.base import METHODS, Method
from polymnia.models.base import MODELS, Model
from polymnia.randomness import Randomness
from polymnia.registry import Registry
from polymnia.training.settings import RunSettings

BUNDLED = {
    "image": "efficientnet-lite0",
    "text": "minilm",
    "audio": "openwakeword",
    "video": "efficientnet-lite0-frames",
    "point-cloud": "shape-descriptors",
    "table": "identity",
}
"""The encoder of each kind of signal that `encoders: bundled` means."""


def build_stream(given: Mapping[str, Any], *, seed: int) -> Stream:
    """Return the raw stream that settings describe.

    `stream` holds the source's settings, the scenario's settings, `valid`, `test`, `missing` and, optionally, a `seed`
    of its own; a setting that both source and scenario have goes to the source.
    """
    mapping = dict(given)
    scenario_name = mapping.pop("scenario", "class-incremental")
    own_seed = mapping.pop("seed", seed)
    shares = {name: mapping.pop(name) for name in ("valid", "test", "missing") if name in mapping}
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


def build_encoders(given: Named, kinds: Mapping[str, str]) -> dict[str, Encoder]:
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


def build_layers(settings: RunSettings, kinds: Mapping[str, str]) -> tuple[dict[str, Encoder], dict[str, Trunk]]:
    """Return by modality the encoders whose tokens a run's model wants, and the frozen layers above that it runs."""
    family, own = _family(settings.model, _wished(settings))
    return family.cut(build_encoders(settings.encoders, kinds), own)


def pools(settings: RunSettings) -> bool:
    """Return whether a run's model wants one vector a value instead of tokens."""
    family, own = _family(settings.model, _wished(settings))
    return family.pools(own)


def model_in_full(settings: RunSettings) -> dict[str, Any]:
    """Return the settings of a run's model, with those of its parts and of what its method wishes for."""
    family, own = _family(settings.model, _wished(settings))
    return {"name": family.name, **asdict(family.settled(own))}


def ready(stream: Stream, settings: RunSettings) -> Stream:
    """Return an encoded stream with what else a run's model wants of its samples."""
    family, own = _family(settings.model, _wished(settings))
    return family.ready(stream, own)


def wanted_tokens(settings: RunSettings) -> list[Any]:
    """Return what of a run's model, beside its encoders, decides which tokens it gets."""
    family, own = _family(settings.model, _wished(settings))
    return [family.pools(own), *family.wants(own)]


def build_model(
    given: Named,
    *,
    seed: int,
    trunks: Mapping[str, Trunk] | None = None,
    parts: Mapping[str, Any] | None = None,
) -> Model:
    """Return an empty model; it grows with the first stage.

    Parameters
    ----------
    given : Mapping or str
        Its name and settings.
    seed : int
        Of new weights.
    trunks : Mapping, optional
        Modality → frozen layers, for families that run some.
    parts : Mapping, optional
        Settings that the method wants, where the family has them and `given` does not say otherwise.
    """
    family, settings = _family(given, parts or {})
    model = family(settings, seed=seed)
    model.attach(trunks or {})
    return model


def _family(given: Named, parts: Mapping[str, Any]) -> tuple[type[Model], Any]:
    mapping = {"name": given} if isinstance(given, str) else dict(given)
    family: type[Model] = _look_up(MODELS, mapping.get("name"), "model.name")
    fields = family.Settings.__dataclass_fields__
    return part(MODELS, {**{key: value for key, value in parts.items() if key in fields}, **mapping}, "model")


def build_method(given: Named, model: Model, *, seed: int) -> Method:
    """Return a method over a model."""
    kind, settings = part(METHODS, given, "method")
    method: Method = kind(model, settings, randomness=Randomness(seed))
    return method


def build_learner(settings: RunSettings, kinds: Mapping[str, str]) -> Method:
    """Return a method over an empty model, as settings describe them, for a stream's modalities and their kinds."""
    parts = _wished(settings)
    family, _ = _family(settings.model, parts)
    trunks = build_layers(settings, kinds)[1] if family.runs_layers else {}
    model = build_model(settings.model, seed=settings.seed, trunks=trunks, parts=parts)
    return build_method(settings.method, model, seed=settings.seed)


def _wished(settings: RunSettings) -> Mapping[str, Any]:
    """Return the settings of the model that the method wishes for."""
    method: type[Method] = _look_up(METHODS, settings.method.get("name"), "method.name")
    return method.parts_of(settings.method)
