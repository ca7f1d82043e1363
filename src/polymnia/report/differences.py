"""Which groups are compared with which, by how much they differ, and what was not matched between them."""

from collections.abc import Sequence
from dataclasses import replace

from polymnia.evaluation.statistics import holm, mean_interval, paired
from polymnia.report import units
from polymnia.report.comparison import COSTS, FIGURES, TOLERANCE, Difference
from polymnia.report.grouping import Group, Seed, same_stream


def chosen_baseline(groups: Sequence[Group], wanted: str | None) -> Group | None:
    """Return the group to pair the others of one stream with; None when the wanted one is not among them."""
    if wanted is None:
        return next((group for group in groups if group.method == "finetune"), groups[0])
    by_label = [group for group in groups if group.label == wanted]
    return next(iter(by_label + [group for group in groups if group.method == wanted]), None)


def paired_up(group: Group, base: Group) -> tuple[list[Difference], list[str]]:
    """Return a group's differences from its baseline, and a line for each seed that cannot be paired."""
    shared = [seed for seed in group.runs if seed in base.runs]
    strange = [seed for seed in shared if not same_stream(group.runs[seed], base.runs[seed])]
    kept: list[Seed] = [seed for seed in shared if seed not in strange]
    notes = []
    if strange:
        notes.append(
            f"{group.label} and {base.label} met different stages with seed "
            f"{', '.join(str(seed) for seed, _ in strange)}: not paired there"
        )
    if not shared:
        notes.append(f"{group.label} and {base.label} have no seed in common: not paired")
    found = []
    for figure in FIGURES:
        mine, theirs = group.values(figure), base.values(figure)
        both = [seed for seed in kept if seed in mine and seed in theirs]
        if both:
            test = paired([mine[seed] for seed in both], [theirs[seed] for seed in both])
            found.append(
                Difference(label=group.label, baseline=base.label, figure=figure, n=len(both), **test._asdict())
            )
    return found, notes


def adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences with p adjusted for the number of groups compared with one baseline in one figure."""
    families: dict[tuple[str, str], list[int]] = {}
    for place, each in enumerate(differences):
        families.setdefault((each.baseline, each.figure), []).append(place)
    done = list(differences)
    for places in families.values():
        for place, p in zip(places, holm([differences[place].p for place in places]), strict=True):
            done[place] = replace(done[place], p_adjusted=p)
    return done


def unmatched(groups: Sequence[Group]) -> list[str]:
    """Return a line for every cost that is not alike, with each group's number."""
    lines = []
    for cost, name in COSTS.items():
        means = {group.label: mean_interval(list(group.values(cost).values())).mean for group in groups}
        if max(means.values()) > (1 + TOLERANCE) * min(means.values()):
            shown = units.size if cost.endswith("bytes") else units.amount
            each = ", ".join(f"{label} {shown(value)}" for label, value in means.items())
            lines.append(f"{name} not matched within {TOLERANCE:.0%}: {each}".replace("%", " %"))
    return lines
