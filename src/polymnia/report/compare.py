"""Runs side by side: means over seeds with their intervals, paired differences, and what was not matched."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path

from polymnia.errors import SettingsError, unknown
from polymnia.evaluation.metrics import intransigence
from polymnia.report.comparison import (
    COSTS,
    FIGURES,
    MORE_COSTS,
    TEXTS,
    Compared,
    Comparison,
    Difference,
    Summary,
    summary,
)
from polymnia.report.differences import adjusted, chosen_baseline, paired_up, unmatched
from polymnia.report.grouping import Group, grouped, same_stream


def compare(folders: Sequence[Path], *, baseline: str | None = None) -> Comparison:
    """Return the comparison of runs, grouped by everything but their seed.

    Parameters
    ----------
    folders : sequence of Path
        Finished runs; one that is under way is left out and named among the warnings.
    baseline : str, optional
        A method or a group's label to pair the others with; None: "finetune" if it is there, else the first group.

    Raises
    ------
    StateError
        A folder is not a run, or none has finished.
    SettingsError
        No group is called `baseline`.
    """
    groups, warnings = grouped(folders)
    streams: dict[str, list[Group]] = {}
    for group in groups:
        streams.setdefault(group.stream, []).append(group)
    bases = {stream: chosen_baseline(members, baseline) for stream, members in streams.items()}
    if baseline is not None and not any(bases.values()):
        raise SettingsError(unknown("group", baseline, {name for g in groups for name in (g.label, g.method)}))
    if len(streams) > 1:
        warnings.append(_several(list(streams.values())))
    compared: list[Compared] = []
    differences: list[Difference] = []
    for group in groups:
        base = bases[group.stream]
        other = base if base is not group else None
        figures = _figures(group, streams[group.stream])
        compared.append(Compared(group=group, figures=figures, baseline=other.label if other else None))
        if other is not None:
            found, notes = paired_up(group, other)
            differences += found
            warnings += notes
    for members in streams.values():
        warnings += unmatched(members)
    return Comparison(groups=tuple(compared), differences=tuple(adjusted(differences)), warnings=tuple(warnings))


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Write the comparison as one HTML page that needs no network, and return its path.

    Parameters
    ----------
    comparison : Comparison
        What `compare` returned.
    out : Path
        The file, or a folder that gets `comparison.html`.

    Raises
    ------
    MissingExtra
        matplotlib or jinja2 is not installed.
    """
    from polymnia.report.comparison_page import page
    from polymnia.report.render import write

    path = Path(out) if Path(out).suffix in (".html", ".htm") else Path(out) / "comparison.html"
    return write(page(comparison, path.parent), path)


def _several(streams: Sequence[Sequence[Group]]) -> str:
    each = (f"{groups[0].stream_name} ({', '.join(group.label for group in groups)})" for groups in streams)
    return f"streams or metrics differ, and groups are paired within one only: {'; '.join(each)}"


def _figures(group: Group, peers: Sequence[Group]) -> dict[str, Summary]:
    values = {name: list(group.values(name).values()) for name in (*FIGURES, *COSTS, *MORE_COSTS)}
    values["intransigence"] = _intransigence(group, peers)
    values |= {name: _of_texts(group, name) for name in TEXTS}
    return {name: summary(held) for name, held in values.items() if held}


def _of_texts(group: Group, name: str) -> list[float]:
    """Return a figure of the probe `examples` for each run that has it."""
    found = [run.scores.probes.get("examples", {}).get(name) for run in group.runs.values()]
    return [value for value in found if value is not None]


def _intransigence(group: Group, peers: Sequence[Group]) -> list[float]:
    """Return, for each seed that a joint run over the same encoders has too, how much less was learned than by it."""
    joint = [p for p in peers if p.method == "joint" and p is not group]
    joint = [p for p in joint if p.settings["encoders"] == group.settings["encoders"]]
    joint.sort(key=lambda p: -sum(p.settings[part] == group.settings[part] for part in ("model", "trainer")))
    found = []
    for seed, run in group.runs.items():
        references = [p.runs[seed] for p in joint if seed in p.runs and same_stream(p.runs[seed], run)]
        if references:
            found.append(intransigence(run.scores.matrix, references[0].scores.matrix))
    return [value for value in found if not isnan(value)]
