"""A page for each method and one for the families of models: what the code says, and what was measured."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polymnia.experiments.described import default_settings, first_line, functions, settings_table, text
from polymnia.experiments.markdown import interval, table
from polymnia.methods.base import METHODS, Method
from polymnia.models.base import MODELS, Model
from polymnia.report.units import plain, size

Results = Mapping[str, Any]

NOTE = "<!-- Made from the code and from results/*.json by `make docs`. Do not edit: change the docstrings. -->"
REFERENCES = ("finetune", "joint", "replay")
"""What every method is shown beside, where the experiment has it."""
SYSTEMS = {"cross-modality-adapters": "cross-modality-adapters", "comet": "comet", "moincl": "moincl", "mode": "mode"}
"""Method → the long page of its system."""
STARTS = {"classifier": "quick", "shared-space": "space", "language-model": "moincl-toy", "unified-model": "mode-toy"}
"""Family → a settings file to begin with."""


def method_pages(found: Sequence[Results]) -> dict[Path, str]:
    """Return every page about methods, by its path below the docs."""
    folder = Path("methods")
    pages = {folder / f"{slug(name)}.md": method_page(name, found) for name in METHODS}
    return {folder / "index.md": index_page(found), folder / "families.md": families_page(), **pages}


def slug(name: str) -> str:
    """Return the file name of a method's page.

    Examples
    --------
    >>> slug("der++")
    'derpp'
    """
    return name.replace("+", "p")


def method_page(name: str, found: Sequence[Results]) -> str:
    """Return one method's page."""
    kind = METHODS.get(name)
    parts = [NOTE, f"# `{name}`", text(kind)]
    if name in SYSTEMS:
        parts.append(
            f"Equation by equation, with what is inferred: [its system's page](../systems/{SYSTEMS[name]}.md)."
        )
    parts += ["## Settings", settings_table(kind.Settings), "## How to run it", *_running(name, kind)]
    parts += ["## In the code", *_standing(kind), "## What was measured", *_measured(name, found)]
    return "\n\n".join(parts) + "\n"


def index_page(found: Sequence[Results]) -> str:
    """Return the page that lists the methods by the families that can carry them."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for name in METHODS:
        kind = METHODS.get(name)
        over = families(kind)
        where = f"Over {'any family' if len(over) == len(list(MODELS)) else ', '.join(f'`{each}`' for each in over)}"
        many = sum(bool(_labels(name, results)) for results in found)
        groups.setdefault(where, []).append((f"[`{name}`]({slug(name)}.md)", first_line(kind), str(many or "–")))
    parts = [
        NOTE,
        "# Methods",
        "One file and one page each. Which one to take: [choose a method](../how-to/choose-a-method.md). What the "
        "families are: [families](families.md). *Experiments* counts those whose committed results have the method.",
    ]
    for where, rows in sorted(groups.items(), key=lambda item: -len(item[1])):
        parts += [f"## {where}", table(("method", "what it does", "experiments"), rows)]
    return "\n\n".join(parts) + "\n"


def families_page() -> str:
    """Return the page about the families of models."""
    parts = [
        NOTE,
        "# Families of models",
        "A family turns a batch into outputs and can grow by a stage. What it *provides* decides which methods it can "
        "carry; a method that needs more says so before training.",
    ]
    for name in MODELS:
        kind = MODELS.get(name)
        carried = [each for each in METHODS if name in families(METHODS.get(each))]
        parts += [
            f"## `{name}`",
            text(kind),
            f"Provides: {_ticked(sorted(kind.provides))}. Stands in `{_file(kind)}`.",
            settings_table(kind.Settings),
            "Carries: " + ", ".join(f"[`{each}`]({slug(each)}.md)" for each in carried) + ".",
        ]
    return "\n\n".join(parts) + "\n"


def families(kind: type[Method]) -> list[str]:
    """Return the families that provide what a method needs."""
    return [name for name in MODELS if kind.needs <= MODELS.get(name).provides]


def _running(name: str, kind: type[Method]) -> Iterator[str]:
    over = families(kind)
    if kind.needs:
        yield f"It needs {_ticked(sorted(kind.needs))} of its model, which these families provide: {_ticked(over)}."
    else:
        yield "It needs nothing in particular of its model: every family can carry it."
    family = next(each for each in (_wished(kind), *STARTS) if each in over)
    settings = {"name": name, **default_settings(kind.Settings)}
    yield f"```yaml\nmodel: {{name: {family}}}\nmethod: {_plain(settings)}\n```"
    if family in STARTS:
        yield "These are the defaults. To begin with:"
        yield f"```sh\npolymnia run configs/{STARTS[family]}.yaml method.name={name}\n```"
    else:
        yield "These are the defaults. To begin with, put them in place of `method` in a copy of configs/adapters.yaml."
    if kind.parts:
        wished = ", ".join(f"`{key}: {_plain(value)}`" for key, value in kind.parts.items())
        yield f"Its published system has these parts of the model; they hold where you say nothing: {wished}."
    if kind.passes is not None:
        yield f"It sees each sample of a stage {'once' if kind.passes == 1 else f'{kind.passes} times'}."
    if kind.looks_back:
        yield "It opens the samples of earlier stages again, so a model in use refuses it."
    if isinstance(kind.off, str):
        yield f"It cannot be turned off: {kind.off}."
    elif kind.off:
        off = ", ".join(f"`{key}: {_plain(value)}`" for key, value in kind.off.items())
        yield f"Fine-tuning, bit for bit, with {off}; the conformance suite tests it."


def _wished(kind: type[Method]) -> str:
    return "adapted" if {"adapter", "prompts"} & set(kind.parts) and "space" not in kind.needs else "classifier"


def _standing(kind: type[Method]) -> Iterator[str]:
    yield f"`{_file(kind)}`, class `{kind.__name__}`."
    rows = [(f"`{name}`", said) for name, said in functions(kind)]
    for base in kind.__mro__[1:]:
        if issubclass(base, Method) and base is not Method:
            rows += [(f"`{name}` of `{_file(base)}`", said) for name, said in functions(base) if name not in vars(kind)]
    if rows:
        yield table(("function", "what it does"), rows)
    if kind.state:
        yield f"What survives a restart: {_ticked(kind.state)}."


def _measured(name: str, found: Sequence[Results]) -> Iterator[str]:
    having = [results for results in found if _labels(name, results)]
    if not having:
        yield "No committed experiment has it: nothing is claimed of how well it does."
        return
    beside = _ticked(each for each in REFERENCES if each != name)
    yield (
        "Mean ± half width of the 95 % interval over seeds, from committed results; beside it stand "
        f"{beside} where they were run. A claim holds only if all of its comparisons do; its experiment's page "
        "shows each."
    )
    for results in having:
        labels = _labels(name, results)
        page = f"../experiments/{results['name']}.md"
        yield f"### [{results['title']}]({page})"
        yield f"Seeds: {len(results['seeds'])}. {results['question']}"
        yield _figures(name, results)
        claims = [claim for claim in results["claims"] if name not in REFERENCES and _about(claim, labels)]
        if claims:
            rows = [(claim["says"], f"**{claim['verdict']}**") for claim in claims]
            yield table(("claim that it takes part in", "verdict"), rows)


def _figures(name: str, results: Results) -> str:
    own = _labels(name, results)
    beside = [label for each in REFERENCES for label in _labels(each, results) if label not in own]
    shown = [*own, *(label for label in beside if label in REFERENCES)]
    columns = (("final_average", plain), ("forgetting", plain), ("learning_accuracy", plain), ("memory_bytes", size))
    rows = [
        (stream, f"`{label}`", *(interval(means[label].get(key), write) for key, write in columns))
        for stream, means in results["means"].items()
        for label in shown
        if label in means
    ]
    return table(("stream", "entry", "final average", "forgetting", "learning accuracy", "memory"), rows)


def _labels(name: str, results: Results) -> list[str]:
    """Return the experiment's entries of a method that were run."""
    ran = {label for means in results["means"].values() for label in means}
    given = results["method_settings"].items()
    return [label for label, settings in given if label in ran and settings["name"] == name]


def _about(claim: Mapping[str, Any], labels: Sequence[str]) -> bool:
    return any(side in labels for c in claim["comparisons"] for side in (c["left"], c["right"]))


def _file(kind: type[Method] | type[Model]) -> str:
    return "src/" + kind.__module__.replace(".", "/") + ".py"


def _ticked(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _plain(value: Any) -> str:
    """Return a value as YAML writes it on a line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_plain(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
