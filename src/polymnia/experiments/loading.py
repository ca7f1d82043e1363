"""Load an experiment from its file, or a selection of it, or a change."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymnia.config import read
from polymnia.errors import SettingsError, unknown
from polymnia.experiments.checks import check
from polymnia.experiments.plan import Plan
from polymnia.experiments.settings import experiment_settings

SELECTIONS = ("seeds", "streams", "methods")


def load_plan(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Plan:
    """Return the plan of `experiments/NAME.yaml`, or of a file by path, checked.

    Parameters
    ----------
    name_or_path : str or Path
        A bare name, or the path of a YAML file.
    overrides : sequence of str
        ``seeds=2`` (the first two) or ``seeds=[0,3]``, ``streams=[…]`` and ``methods=[…]`` select; any other
        ``key=value`` changes a setting.

    Raises
    ------
    SettingsError
        No such experiment, or something in it is not accepted: nothing has run then.
    """
    path = find(name_or_path)
    given = read(None, overrides)
    selection = {key: given.pop(key) for key in SELECTIONS if key in given}
    others = [item for item in overrides if item.split("=")[0] not in SELECTIONS]
    settings = experiment_settings(read(path, others))
    plan = Plan(
        path.stem,
        settings,
        _seeds(selection.get("seeds"), settings.seeds),
        _labels("stream", selection.get("streams"), settings.streams),
        _labels("method", selection.get("methods"), settings.methods),
        changed=bool(others),
    )
    check(plan)
    return plan


def find(name_or_path: str | Path) -> Path:
    """Return the file of an experiment by its name or path."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    folder = Path("experiments")
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    if str(name_or_path) not in names:
        where = (
            "" if names else f"\n{folder}/ has none here: run this in the repository's folder, or give a file's path."
        )
        raise SettingsError(unknown("experiment", str(name_or_path), names) + where)
    return folder / f"{name_or_path}.yaml"


def _seeds(chosen: Any, every: tuple[int, ...]) -> tuple[int, ...]:
    if chosen is None:
        return every
    if isinstance(chosen, int) and not isinstance(chosen, bool):
        if not 1 <= chosen <= len(every):
            raise SettingsError(f"seeds: {chosen} is given, and the experiment has {len(every)}")
        return every[:chosen]
    if isinstance(chosen, list) and chosen and all(isinstance(seed, int) for seed in chosen):
        return tuple(chosen)
    raise SettingsError(f"seeds: {chosen!r} is given; write seeds=2 (the first two) or seeds=[0,3]")


def _labels(kind: str, chosen: Any, every: Mapping[str, Any]) -> tuple[str, ...]:
    if chosen is None:
        return tuple(every)
    names = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, list) or not names:
        raise SettingsError(f"{kind}s: {chosen!r} is given; write {kind}s=[{','.join(list(every)[:2])}]")
    for name in names:
        if name not in every:
            raise SettingsError(f"{kind}s: {unknown(f'{kind} in this experiment', str(name), every)}")
    return tuple(label for label in every if label in names)
