"""Settings: YAML with `key=value` overrides, made into typed dataclasses, with errors naming the nearest right key."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from polymnia.errors import SettingsError, nearest
from polymnia.registry import Registry

T = TypeVar("T")

Named = Mapping[str, Any] | str
"""A part by its name, or by a mapping with its `name` and settings."""


def read(path: str | Path | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings of a YAML file with `key=value` overrides applied.

    Raises
    ------
    SettingsError
        The file is missing or not a YAML mapping, or an override has no `=`.
    """
    try:
        settings = OmegaConf.load(path) if path is not None else OmegaConf.create({})
    except FileNotFoundError:
        raise SettingsError(f"no such settings file: {path}") from None
    except Exception as error:  # PyYAML and OmegaConf raise several unrelated kinds
        raise SettingsError(f"{path} is not readable as YAML: {error}") from None
    wrong = [item for item in overrides if "=" not in item or item.startswith("=")]
    if wrong:
        raise SettingsError(f"{wrong[0]!r} is not an override. Write key=value, for instance seed=1 or method.name=ewc")
    if not OmegaConf.is_dict(settings):
        raise SettingsError(f"{path} must hold a mapping of settings, not a list or a single value")
    try:
        merged = OmegaConf.merge(settings, OmegaConf.from_dotlist(list(overrides)))
        plain: Any = OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException as error:
        raise SettingsError(f"settings do not fit together: {str(error).splitlines()[0]}") from None
    return plain


def typed(kind: type[T], given: Mapping[str, Any] | None, *, where: str = "", owner: str = "") -> T:
    """Return a settings dataclass filled from a mapping, every value checked.

    Parameters
    ----------
    kind : type
        A frozen dataclass.
    given : Mapping
        Name → value.
    where : str
        Dotted place in the settings, for messages.
    owner : str
        Whose settings these are, for messages.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Settings:
    ...     strength: float = 1.0
    >>> typed(Settings, {"strenght": 3}, where="a", owner="ewc")
    Traceback (most recent call last):
    ...
    polymnia.errors.SettingsError: a.strenght: no such setting of 'ewc'. Did you mean 'strength' (float, default 1.0)?
    'ewc' takes: strength.
    """
    if given is not None and not isinstance(given, Mapping):
        raise SettingsError(f"{where or 'settings'}: {given!r} is given, and a mapping of settings is needed")
    values = dict(given or {})
    accepted = [f.name for f in fields(kind)] if is_dataclass(kind) else []
    for name in values:
        if name not in accepted:
            raise SettingsError(_no_such(kind, str(name), accepted, where, owner))
    if is_dataclass(kind):
        lacking = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
        lacking = [name for name in lacking if name not in values]
        if lacking:
            raise SettingsError(f"{_dotted(where, lacking[0])} is missing: {_described(kind, lacking[0])}")
    try:
        return _adapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        raise SettingsError(
            f"{_dotted(where, name)}: {first['input']!r} is not accepted: {first['msg'].lower()}. "
            f"{_described(kind, name)}"
        ) from None


def part(registry: Registry[Any], given: Named, where: str) -> tuple[Any, Any]:
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


def whole(registry: Registry[Any], given: Named | None, where: str) -> dict[str, Any] | None:
    """Return a part's name and all its settings, those left at their defaults too; None for no part."""
    if given is None:
        return None
    kind, settings = part(registry, given, where)
    return {"name": kind.name, **asdict(settings)}


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    configured: type[T] = with_config(ConfigDict(extra="forbid", strict=False))(kind)  # type: ignore[assignment]
    return TypeAdapter(configured)


def _dotted(where: str, name: str) -> str:
    return ".".join(part for part in (where, name) if part)


def _no_such(kind: Any, name: str, accepted: list[str], where: str, owner: str) -> str:
    guess = nearest(name, accepted)
    hint = f" Did you mean {_described(kind, guess)}?" if guess else ""
    of = f" of {owner!r}" if owner else ""
    takes = f"{owner!r} takes" if owner else "Accepted"
    return f"{_dotted(where, name)}: no such setting{of}.{hint}\n{takes}: {', '.join(accepted) or '(nothing)'}."


def _described(kind: Any, name: str) -> str:
    """Return "'strength' (float, default 1.0)"."""
    for field in fields(kind) if is_dataclass(kind) else ():
        if field.name == name:
            wanted = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
            default = "" if field.default is MISSING else f", default {field.default!r}"
            return f"{name!r} ({wanted}{default})"
    return repr(name)
