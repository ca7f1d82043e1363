"""The card of a model that is handed on: what it was made of, what it is worth, where it ends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polymnia import __version__
from polymnia.data.stated import UNSTATED
from polymnia.serving.loading import Learned

SHOWN = 60
"""Classes that are named one by one."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a stage was learned from.

    Parameters
    ----------
    stage : str
        Its name.
    card : Mapping
        Title, licence and citation of the data.
    sizes : Mapping
        "train", "valid", "test" → samples.
    """

    stage: str
    card: Mapping[str, str]
    sizes: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a card tells.

    Parameters
    ----------
    version : str
        Of the model.
    learned : Learned
        The model.
    parts : sequence of Part
        By stage.
    compared : sequence of Mapping
        Each kept test set with its score, as in a verdict.
    limits : Mapping
        Of the gate.
    against : sequence of str
        What was accepted against a verdict.
    onnx : str
        What was found of the ONNX file, or why there is none.
    """

    version: str
    learned: Learned
    parts: Sequence[Part]
    compared: Sequence[Mapping[str, Any]]
    limits: Mapping[str, float]
    against: Sequence[str]
    onnx: str


def card(facts: Facts) -> str:
    """Return the card in Markdown."""
    blocks = (_front(), _what(facts), _data(facts), _encoders(facts), _scores(facts), _limits(facts), _files(facts))
    return "\n".join(line for block in blocks for line in block)


def _front() -> Iterator[str]:
    yield from ("---", "library_name: polymnia", "tags: [continual-learning, multimodal]", "---", "")


def _what(facts: Facts) -> Iterator[str]:
    held = facts.learned
    kinds = ", ".join(f"{m} ({kind})" if m != kind else m for m, kind in sorted(held.kinds.items()))
    known = list(held.class_names)
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    yield f"# {facts.version}"
    yield ""
    yield f"A model of [Polymnia](https://pypi.org/project/polymnia/) {__version__}, grown in {len(facts.parts)} stages"
    yield f"by method `{held.method.name}`, model `{held.method.model.name}`. It takes {kinds}, any of them alone, and"
    yield f"tells {len(known)} classes: {', '.join(known[:SHOWN])}{more}."
    yield ""
    yield from ("```python", "import polymnia as pm", "", 'model = pm.Polymnia.from_pretrained("this-folder")')
    first = sorted(held.kinds)[0]
    yield from (f'model.predict({{"{first}": [...]}})', "```", "")


def _data(facts: Facts) -> Iterator[str]:
    yield from ("## What it was learned from", "", "| stage | data | licence | train | valid | test |")
    yield "| --- | --- | --- | ---: | ---: | ---: |"
    for part in facts.parts:
        sizes = " | ".join(f"{part.sizes[split]:,}" for split in ("train", "valid", "test"))
        yield f"| {part.stage} | {_cell(part.card, 'title')} | {_cell(part.card, 'licence')} | {sizes} |"
    yield ""
    cited = dict.fromkeys(part.card.get("citation", "") for part in facts.parts)
    yield from (f"- {text}" for text in cited if text not in ("", UNSTATED))
    yield ""


def _encoders(facts: Facts) -> Iterator[str]:
    yield from ("## Over which encoders", "", "| modality | encoder | licence |", "| --- | --- | --- |")
    for modality in sorted(facts.learned.kinds):
        encoder = facts.learned.encoders[modality]
        yield f"| {modality} | {encoder.card.title} (`{encoder.name}`) | {encoder.card.licence} |"
    yield from ("", "They are frozen and not in this folder; Polymnia finds them by name.", "")


def _scores(facts: Facts) -> Iterator[str]:
    yield from ("## What it is worth", "", "| test set | metric | samples | before its last stage | after |")
    yield "| --- | --- | ---: | ---: | ---: |"
    for each in facts.compared:
        before, after = ("–" if each[name] is None else f"{each[name]:.3f}" for name in ("before", "after"))
        yield f"| {each['stage']} | {each['metric']} | {each['samples']:,} | {before} | {after} |"
    yield from ("", "Each stage's own test samples, which no stage was trained on.", "")


def _limits(facts: Facts) -> Iterator[str]:
    limits = ", ".join(f"`{name}` {value}" for name, value in facts.limits.items())
    yield from ("## Limits", "")
    yield f"- A stage was accepted if it kept to: {limits}."
    yield from (f"- Accepted against the verdict: {each}." for each in facts.against)
    fewest = min((each["samples"] for each in facts.compared), default=0)
    yield f"- The smallest test set has {fewest:,} samples: a score there moves in steps of {1 / max(fewest, 1):.3f}."
    yield "- It tells one of its classes for anything that it is given; it does not say that something is none of them."
    kept = facts.learned.method.memory_bytes()
    yield f"- What the method remembers, {kept:,} bytes, is in the file: it may hold encoded samples."
    yield ""


def _files(facts: Facts) -> Iterator[str]:
    yield from ("## Files", "", "- `model.safetensors`, `config.json`: weights, and all else; nothing is executed.")
    yield f"- `model.onnx` (from encoders' vectors to logits): {facts.onnx}."
    yield ""


def _cell(about: Mapping[str, str], name: str) -> str:
    return str(about.get(name) or "–").replace("|", "\\|").replace("\n", " ")
