"""The page of an experiment, in Markdown: every number on it comes from its results."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from polymnia.experiments.checks import PROBE
from polymnia.experiments.claims import FAILS, HOLDS, UNTESTED
from polymnia.experiments.markdown import interval, table
from polymnia.experiments.usage import used
from polymnia.report.units import amount, plain, probability, seconds, signed, size

Results = Mapping[str, Any]

WIDE = 12
"""Figures of probes that can stand side by side."""

NOTE = "<!-- Made from results/{name}.json by `make docs`. Do not edit: change the experiment, or run it again. -->"
COLUMNS = (
    ("final_average", "final average", plain),
    ("average_incremental", "average incremental", plain),
    ("forgetting", "forgetting", plain),
    ("learning_accuracy", "learning accuracy", plain),
    ("intransigence", "intransigence", plain),
    ("memory_bytes", "memory", size),
    ("trainable_parameters", "trainable", amount),
    ("steps", "steps", amount),
    ("seconds", "training", seconds),
)


SYSTEMS = {
    "adapters": "[Cross-modality adapters](systems/cross-modality-adapters.md)",
    "comet": "[COMET](systems/comet.md)",
    "moincl": "[MoInCL](systems/moincl.md)",
    "mode": "[MoDE](systems/mode.md)",
}
"""First word of an experiment's name → the system that it is about."""


def page(results: Results) -> str:
    """Return the whole page."""
    parts = [
        NOTE.format(name=results["name"]),
        f"# {results['title']}",
        results["question"],
        opening(results),
        "## Claims",
        "Written down, with what decides them, before the runs. A claim needs every one of its comparisons; *the "
        "opposite* means that some interval lies wholly on the other side of the bound, *not shown* that intervals "
        "reach over it. Intervals are 95 %, paired by seed, without correction for the number of comparisons. "
        "Sides that are *equal in every seed* were not told apart by what was run: where one of them is a method with "
        "a strength, that strength did not change this figure, and nothing follows for other strengths. Seconds are "
        "wall-clock time, with whatever else the machine was doing.",
        claims_table(results["claims"]),
    ]
    for stream, means in results["means"].items():
        parts += stream_section(results["name"], stream, means)
        if used(results, stream):
            caption = f"{stream}: share of each expert in each stage's use, in the run of the first seed"
            parts.append(f"![{caption}](../assets/{results['name']}-{stream}-experts.svg)")
    parts += [f"## {stream}\n\nLeft out: {why}" for stream, why in results["missing"].items()]
    parts += ["## What decided each claim", comparisons_table(results["claims"]), *settings_section(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def opening(results: Results) -> str:
    """Return the paragraph that says how much was run, where, and how the claims came out."""
    machine = results["machine"]
    counted = verdicts(results["claims"])
    unfinished = "" if results["complete"] else "**Unfinished: some runs are missing.** "
    mixed = isinstance(results["versions"].get("code"), list)
    warning = "**The runs were made by several states of the code.** " if mixed else ""
    return (
        f"{unfinished}{warning}{len(results['runs'])} runs: {_count(results['selected']['methods'], 'method')} × "
        f"{_count(results['means'], 'stream')} × {_count(results['seeds'], 'seed')}, on {_said(machine['processor'])}, "
        f"{_said(machine['cores'])} cores, {_said(machine['threads'])} thread(s), {_said(machine['system'])}. "
        f"Claims that hold: {counted[HOLDS]}; that do not hold: {counted[FAILS]}; not tested: {counted[UNTESTED]}. "
        f"Do it again with `polymnia reproduce {results['name']}`."
    )


def verdicts(claims: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many claims have each verdict."""
    return {verdict: sum(claim["verdict"] == verdict for claim in claims) for verdict in (HOLDS, FAILS, UNTESTED)}


def claims_table(claims: Sequence[Mapping[str, Any]]) -> str:
    """Return the claims with their verdicts, in the order in which they were written down."""
    rows = [
        (f"{claim['says']} <br>*{claim['source']}*", f"**{claim['verdict']}**{_how(claim)}", _share(claim))
        for claim in claims
    ]
    return table(("claim and its source", "verdict", "comparisons that hold"), rows)


def stream_section(name: str, stream: str, means: Mapping[str, Any]) -> list[str]:
    """Return one stream's plot and tables."""
    rows = [
        (f"`{method}`", *(interval(figures.get(key), write) for key, _, write in COLUMNS))
        for method, figures in means.items()
    ]
    caption = f"{stream}: forgetting against learning accuracy, and final averages, with 95 % intervals over seeds"
    parts = [
        f"## {stream}",
        f"![{caption}](../assets/{name}-{stream}.svg)",
        table(("method", *(head for _, head, _ in COLUMNS)), rows),
    ]
    subsets = list(dict.fromkeys(subset for figures in means.values() for subset in figures["per_subset"]))
    if len(subsets) > 1:
        rows = [
            (f"`{method}`", *(interval(figures["per_subset"].get(subset), plain) for subset in subsets))
            for method, figures in means.items()
        ]
        parts += [
            "After the last stage, with only some of the modalities at test time, over samples that have one of them:",
            table(("method", *subsets), rows),
        ]
    probes = list(dict.fromkeys(name for figures in means.values() for name in figures.get("probes", {})))
    if probes:
        measured = {method: figures["probes"] for method, figures in means.items() if figures["probes"]}
        parts += ["What probes measured after the last stage:", probes_table(probes, measured)]
    return parts


def probes_table(names: Sequence[str], means: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a row a method, or a row a figure where there are too many figures to stand side by side."""
    heads = [name.removeprefix(PROBE) for name in names]
    cells = [[interval(figures.get(name), plain) for name in names] for figures in means.values()]
    methods = [f"`{method}`" for method in means]
    if len(names) <= WIDE:
        return table(("method", *heads), [(method, *row) for method, row in zip(methods, cells, strict=True)])
    return table(
        ("figure", *methods), [(head, *column) for head, column in zip(heads, zip(*cells, strict=True), strict=True)]
    )


def comparisons_table(claims: Iterable[Mapping[str, Any]]) -> str:
    """Return every comparison behind every claim."""
    rows = []
    for claim in claims:
        for c in claim["comparisons"]:
            difference = "–" if "n" not in c else f"{_figure(claim, c['difference'], sign=True)} ± {_half(claim, c)}"
            rows.append((
                claim["id"],
                c["stream"],
                _compared(claim, c["left"], c["right"]),
                _figure(claim, c.get("left_mean")),
                _figure(claim, c.get("right_mean")),
                difference,
                probability(c.get("p")),
                c["verdict"] + (f": {c['why']}" if c["why"] else ": equal in every seed" if c.get("same") else ""),
            ))  # fmt: skip
    return table(("claim", "stream", "comparison", "left", "right", "left − right", "p", "verdict"), rows)


def settings_section(results: Results) -> list[str]:
    """Return settings, seeds, versions and machine."""
    settings = results["settings"]
    shared = {"budget": settings["budget"], "base": settings["base"], "streams": settings["streams"]}
    methods = [(f"`{label}`", f"`{_json(given)}`") for label, given in results["method_settings"].items()]
    where = [(key, _said(value)) for key, value in (*results["machine"].items(), *results["versions"].items())]
    return [
        "## Settings",
        f"Seeds: {', '.join(map(str, results['seeds']))}. Each draws the splits, the order of classes, the initial "
        "weights and the order of samples, alike for all methods.",
        f"```json\n{json.dumps(shared, indent=2, ensure_ascii=False)}\n```",
        "Every method's settings, with the defaults it ran with:",
        table(("method", "settings"), methods),
        "## Versions and machine",
        table(("", ""), where),
    ]


def overview(many: Sequence[Results]) -> str:
    """Return the page that lists all experiments and all their claims."""
    parts = [
        NOTE.replace("{name}", "*"),
        "# Evidence",
        "What was measured with Polymnia, experiment by experiment. Claims are written down before the runs; "
        "those that do not hold stay on the page.",
    ]
    groups: dict[str, list[tuple[str, ...]]] = {}
    for results in many:
        counted = verdicts(results["claims"])
        row = (f"[{results['title']}](experiments/{results['name']}.md)", str(len(results["runs"])),
               *(str(counted[verdict]) for verdict in (HOLDS, FAILS, UNTESTED)))  # fmt: skip
        groups.setdefault(system(results["name"]), []).append(row)
    for heading in sorted(groups, key=[*SYSTEMS.values(), ""].index):
        head = ("experiment", "runs", "claims that hold", "do not hold", "not tested")
        parts += [f"## {heading or 'Methods side by side'}", table(head, groups[heading])]
    return "\n\n".join(parts) + "\n"


def system(name: str) -> str:
    """Return the heading of the system that an experiment is about; "" where it is about none.

    Examples
    --------
    >>> system("comet-world")
    '[COMET](systems/comet.md)'
    """
    return SYSTEMS.get(name.partition("-")[0], "")


def _how(claim: Mapping[str, Any]) -> str:
    if claim["verdict"] == UNTESTED:
        return f": {claim['why']}"
    if claim["verdict"] == HOLDS:
        return ""
    return ": the opposite" if "other side" in claim["why"] else ": not shown"


def _share(claim: Mapping[str, Any]) -> str:
    same = sum(comparison.get("same", False) and comparison["verdict"] == HOLDS for comparison in claim["comparisons"])
    idle = f"; {same} of them between sides that are equal in every seed" if same else ""
    return f"{claim['holding']} of {len(claim['comparisons'])}{idle}"


def _compared(claim: Mapping[str, Any], left: str, right: str | float) -> str:
    sign = {"greater": ">", "less": "<", "at least": "≥", "at most": "≤", "within": "="}[claim["relation"]]
    side = {"greater": "+", "less": "−", "at least": "−", "at most": "+", "within": "±"}[claim["relation"]]
    return f"{left} {sign} {right}" + (f" {side} {claim['margin']:g}" if claim["margin"] else "")


def _figure(claim: Mapping[str, Any], value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return "–"
    written = {"memory_bytes": size, "evaluate_seconds": seconds, "seconds": seconds}.get(claim["metric"])
    if written is None:
        return signed(value, 3) if sign else plain(value)
    return ("−" if value < 0 else "+") + written(abs(value)) if sign else written(value)


def _half(claim: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    return _figure(claim, comparison["half_width"])


def _count(things: Any, word: str) -> str:
    return f"{len(things)} {word}" + ("" if len(things) == 1 else "s")


def _said(value: Any) -> str:
    return " / ".join(map(str, value)) if isinstance(value, list) else str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
