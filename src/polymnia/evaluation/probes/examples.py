"""`examples`: what is written after each stage, beside what is right, and how captions and answers fare apart."""

from collections.abc import Callable, Sequence
from math import isnan
from typing import Any

from polymnia.data.stage import Stage, Stream
from polymnia.data.wording import ANSWERING, CAPTIONING, WRITTEN, plain
from polymnia.evaluation.answers import exact_match, matches, normalised
from polymnia.evaluation.captions import HIGHEST, bleu4, cider, rouge_l
from polymnia.evaluation.cells import by_cells
from polymnia.evaluation.metrics import final_average, forgetting, learning_accuracy
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.scorers.base import scorer
from polymnia.evaluation.written import one_round, references, written
from polymnia.methods.base import Method

HANDFUL = 4
"""Test samples of a stage whose texts are kept after every stage: always the same."""
ALIKE: dict[str, Callable[[str], str]] = {CAPTIONING: plain, ANSWERING: normalised}
"""Task → the form in which a text is compared with the right ones."""
MEANS = {CAPTIONING: "caption", ANSWERING: "answer"}


@register("examples")
class Examples(Probe):
    """What a method writes for the test samples of every stage so far, in figures and in a few examples.

    For each stage S of captioning or answering: `score S`, the score in the matrix; `exact match S` and `ROUGE-L S`;
    of captions also `CIDEr S` as its package gives it (0 to 10), `CIDEr of one reference S` (each caption against one
    reference drawn, as the released code of MoInCL does) and `BLEU-4 S`, which captions of fewer than four words keep
    near 0. Over stages: `caption score` and `answer score` after the stage measured, `caption score when learned` and
    `answer score when learned` (plasticity), `forgetting K` for each task and each modality K, and `change on` and
    `score on` the cells of `evaluation.cells`. `tests` and `kinds` are the same as tables. What was written for
    the same few samples after every stage is in the stages' folders.

    Empty for families that write no texts.
    """

    each = True
    state = ("matrix",)

    def __init__(self) -> None:
        self.matrix: list[list[float | None]] = []
        self._kept: list[dict[str, Any]] = []

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return figures of all stages so far, by stage, and over stages by task and modality."""
        if "text" not in method.model.provides:
            return {}
        seen = stream.stages[: stage.index + 1]
        with one_round():
            tests = {test.index: _figures(method, test) for test in seen if test.task in WRITTEN and len(test.test)}
            self._kept = [_kept(method, test) for test in seen if test.index in tests]
        self.matrix = [*self.matrix, [tests[test.index]["score"] if test.index in tests else None for test in seen]]
        rows = [{"stage": seen[at].name, "task": seen[at].task, **row} for at, row in tests.items()]
        kinds = by_kind(self.matrix, seen)
        cells = {name: _none(value) for name, value in by_cells(self.matrix, seen).items()}
        return {**_flat(rows), **_means(kinds), **cells, "tests": rows, "kinds": kinds}

    def record(self) -> dict[str, Any] | None:
        """Return the examples: for each test set so far what was asked, what is right and what was written."""
        return {"tests": self._kept} if self._kept else None


def by_kind(matrix: Sequence[Sequence[float | None]], stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Return for each task and each modality of the stages that write: mean score, the same when learned, forgetting.

    Means over tasks of one modality mix their metrics. What a kind has no stage for is None.
    """
    columns: dict[tuple[str, str], list[int]] = {}
    for what in ("task", "modality"):
        for at, stage in enumerate(stages):
            if stage.task in WRITTEN:
                columns.setdefault((what, stage.task if what == "task" else "+".join(stage.modalities)), []).append(at)
    kinds = {"score": final_average, "learned": learning_accuracy, "forgetting": forgetting}
    return [
        {"kind": kind, "of": what, "tests": len(at)} | {name: _none(of(matrix, at)) for name, of in kinds.items()}
        for (what, kind), at in columns.items()
    ]


def _figures(method: Method, test: Stage) -> dict[str, Any]:
    """Return figures of a stage's test set."""
    texts, right = written(method, test.test), references(test.test)
    score = scorer(test.task).score(method, test.test)
    found = {"score": score, "exact match": exact_match(texts, right, like=ALIKE[test.task])}
    if test.task == CAPTIONING:
        found |= {
            "CIDEr": None if score is None else HIGHEST * score,
            "CIDEr of one reference": cider(texts, right, single=True),
            "BLEU-4": bleu4(texts, right),
        }
    return found | {"ROUGE-L": rouge_l(texts, right), "samples": len(texts)}


def _kept(method: Method, test: Stage) -> dict[str, Any]:
    """Return what was written for a few samples, evenly spread over the test set."""
    samples = test.test
    texts, right, asked = written(method, samples), references(samples), samples.columns["prompt"].tolist()
    few = min(HANDFUL, len(samples))
    shown = [
        {"id": str(samples.ids[row]), "asked": asked[row], "references": right[row], "written": texts[row],
         "right": matches(texts[row], right[row], like=ALIKE[test.task])}
        for row in (i * len(samples) // few for i in range(few))
    ]  # fmt: skip
    return {"stage": test.name, "task": test.task, "modalities": list(test.modalities), "samples": shown}


def _flat(rows: Sequence[dict[str, Any]]) -> Figures:
    left_out = ("stage", "task", "samples")
    return {f"{name} {row['stage']}": value for row in rows for name, value in row.items() if name not in left_out}


def _means(kinds: Sequence[dict[str, Any]]) -> Figures:
    figures: Figures = {}
    for row in kinds:
        if row["of"] == "task":
            figures[f"{MEANS[row['kind']]} score"] = row["score"]
            figures[f"{MEANS[row['kind']]} score when learned"] = row["learned"]
        figures[f"forgetting {row['kind']}"] = row["forgetting"]
    return figures


def _none(value: float) -> float | None:
    return None if isnan(value) else value
