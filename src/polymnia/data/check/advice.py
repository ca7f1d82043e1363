"""How a data set may be cut into a stream, and what stands in the way."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from polymnia.data.check.twins import Twins
from polymnia.data.source import Dataset

if TYPE_CHECKING:
    from polymnia.data.check.check import Check

STAGES = 5
"""Most stages that are suggested."""
FEW = 3
"""A class with fewer samples cannot train, validate and test."""


def suggested(dataset: Dataset) -> tuple[dict[str, Any], str]:
    """Return settings of a stream, beside those of the source, and why these.

    What the data say comes first: a column `stage`; texts to be written come task by task, pairs without a class
    modality by modality; then a column `domain` of which each value has several classes; then classes are cut into
    stages of two at least; what has too few comes at once.
    """
    columns = dataset.samples.columns
    stages = {value for value in columns.get("stage", np.array([])).tolist() if value}
    if stages:
        return {"scenario": "given"}, f"the column 'stage' names {len(stages)}"
    if "task" in columns:
        return {"scenario": "tasks"}, "its rows say what is to be written"
    if pairs_of(dataset):
        return {"scenario": "pairing", "mediator": mediator(dataset)}, "its rows are pairs, and have no class"
    domains = _classes_by_domain(dataset)
    if len(domains) > 1 and all(len(classes) > 1 for classes in domains.values()):
        return {"scenario": "domain-incremental"}, f"the column 'domain' has {len(domains)} values"
    classes = len(dataset.class_names)
    if classes >= 4:
        many = min(STAGES, classes // 2)
        return {"scenario": "class-incremental", "stages": many}, f"there are {classes} classes"
    return {"scenario": "single"}, f"{classes} classes are too few to arrive one after another"


def family(dataset: Dataset) -> dict[str, Any]:
    """Return settings of a model that can learn it; none where the default one can."""
    if "task" in dataset.samples.columns:
        return {"name": "language-model"}
    return {"name": "shared-space", "mediator": mediator(dataset)} if pairs_of(dataset) else {}


def pairs_of(dataset: Dataset) -> bool:
    """Return whether samples are modalities that belong together, of which nothing else is said."""
    return not dataset.class_names and len(dataset.samples.values) > 1


def mediator(dataset: Dataset) -> str:
    """Return the modality that the most samples have, a text before others: what all are paired with."""
    has = {m: int(present.sum()) for m, present in dataset.samples.present.items()}
    return max(sorted(has), key=lambda m: (has[m], dataset.kinds[m] == "text"))


def _classes_by_domain(dataset: Dataset) -> Mapping[str, set[int]]:
    found: dict[str, set[int]] = {}
    for domain, target in zip(
        dataset.samples.columns.get("domain", ()), dataset.samples.targets.tolist(), strict=False
    ):
        if domain:
            found.setdefault(str(domain), set()).add(target)
    return found


def problems(found: "Check") -> tuple[str, ...]:
    """Return what is wrong or may mislead, the worst first, each with what to do."""
    said: list[str] = []
    if len(found.classes) == 1:
        said.append(f"there is one class only, {next(iter(found.classes))!r}: there is nothing to tell apart")
    if found.rejected:
        most, times = Counter(_kind_of_reason(r.reason) for r in found.rejected).most_common(1)[0]
        said.append(f"{_many(len(found.rejected), 'row')} set aside; {times:,} of them: {most}")
    few = [name for name, many in found.classes.items() if many < FEW]
    if few and not any(found.splits.values()):
        named = ", ".join(few[:5]) + (", …" if len(few) > 5 else "")
        said.append(f"{_many(len(few), 'class', 'classes')} with fewer than {FEW} samples, not testable: {named}")
    said += [line for what, twins in _all_twins(found) for line in _of_twins(what, twins, given=bool(found.splits))]
    if found.splits and not found.splits.get("test"):
        said.append("the column 'split' names no test samples: nothing could be scored")
    return tuple(said)


def _all_twins(found: "Check") -> Iterator[tuple[str, Twins]]:
    yield "the same content", found.same
    for modality, twins in found.near.items():
        yield f"nearly the same {modality}", twins


def _of_twins(what: str, twins: Twins, *, given: bool) -> Iterator[str]:
    """Yield what is to be said of samples with the same of something; `given`: the data say which split each is in."""
    if not twins.samples:
        return
    said = f"{_many(twins.samples, 'sample')} with {what} as another"
    if twins.across and given:
        said += f"; {_many(twins.across, 'pair')} on two sides of a split"
    elif twins.across:
        said += f"; {_many(twins.across, 'pair')} could be parted by a split: give both samples one `group`"
    yield said + (f"; {_many(twins.conflicting, 'pair')} with different labels" if twins.conflicting else "")


def _kind_of_reason(reason: str) -> str:
    """Return a reason without what differs from one to the next: names, numbers."""
    return reason.split(":")[0].split(" (")[0][:80]


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"
