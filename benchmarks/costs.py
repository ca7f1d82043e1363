"""What must not cost more than it needs: encoder calls, the Fisher diagonal, late stages, importing."""

import csv
import gc
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from benchmarks.plain.loop import fisher_by_sample
from benchmarks.streams import as_samples, digits, drifting
from polymnia.data.stage import Card, Outline, Stage, Stream
from polymnia.encoders.base import ENCODERS
from polymnia.methods.base import METHODS
from polymnia.methods.fisher import fisher_diagonal
from polymnia.models.classifier import Classifier
from polymnia.randomness import Randomness
from polymnia.training.run import Run
from polymnia.training.settings import TrainerSettings, run_settings
from polymnia.training.trainer import Trainer

STAGES, EARLY, LATE = 200, slice(1, 6), slice(195, 200)
MEASURED, BETWEEN = 2400, 64
"""Samples of the stages that are measured, as many as in `throughput`, and of those that only lie between."""
LEFT_OUT = {"joint"}
"""Trains on all earlier stages at each one: it is the bound, and its cost grows by definition. Left out are also the
methods with parts inside the model, which add experts or prompts with each stage, as their papers have it."""


@dataclass(frozen=True)
class Cost:
    """One figure against its goal; `value` is None where it could not be measured."""

    what: str
    value: float | None
    goal: str
    met: bool | None
    how: str


def measure(*, only: tuple[str, ...] = (), say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure all of it, one thread; late stages of some methods only, if so asked."""
    torch.set_num_threads(1)
    rows: list[Cost] = []
    for part in (encoder_calls, fisher, partial(late_stages, only), importing):
        found = part()
        rows += found
        for row in found:
            say(f"costs: {row.what}: {row.value}")
    return {
        "rows": [asdict(row) for row in rows],
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


# encoder calls -------------------------------------------------------------------------------------------------


def encoder_calls(*, name: str = "minilm", samples: int = 60, epochs: int = 5) -> list[Cost]:
    """Count the values that an encoder gets in a run, and in a second run over the same samples."""
    kind = ENCODERS.get(name)
    how = f"{name}, {samples} texts, 2 stages, {epochs} epochs, training and scoring; values given to `encode`"
    whats = ("encoder calls per sample, first run", "encoder calls per sample, second run")
    if not kind.available():
        lacking = f"not measured: encoder {name!r} is not installed (see `polymnia encoders`)"
        return [Cost(what, None, goal, None, lacking) for what, goal in zip(whats, ("= 1", "= 0"), strict=True)]
    with tempfile.TemporaryDirectory() as folder, home(Path(folder) / "home"), counting(kind) as given:
        manifest = Path(folder) / "texts.csv"
        with manifest.open("w", newline="") as file:
            rows = [[f"note {i} is about {'abcd'[i % 4]}", "abcd"[i % 4]] for i in range(samples)]
            csv.writer(file).writerows([["text", "label"], *rows])
        settings = run_settings({
            "stream": {"name": "manifest", "path": str(manifest), "scenario": "class-incremental", "stages": 2},
            "encoders": {"text": name}, "trainer": {"epochs": epochs, "accelerator": "cpu"},
        })  # fmt: skip
        calls = []
        for run in ("first", "second"):
            given.clear()
            Run(settings, Path(folder) / run).go()
            calls.append(sum(given) / samples)
    return [
        Cost(what, value, f"= {goal}", value == goal, how)
        for what, value, goal in zip(whats, calls, (1, 0), strict=True)
    ]


@contextmanager
def home(folder: Path) -> Iterator[None]:
    """Keep what Polymnia keeps on this machine in another folder."""
    before = os.environ.get("POLYMNIA_HOME")
    os.environ["POLYMNIA_HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("POLYMNIA_HOME")
        if before is not None:
            os.environ["POLYMNIA_HOME"] = before


@contextmanager
def counting(kind: Any) -> Iterator[list[int]]:
    """Note how many values each call of a kind of encoder gets."""
    given: list[int] = []
    encode = kind.encode

    def counted(self: Any, values: Sequence[Any]) -> Any:
        given.append(len(values))
        return encode(self, values)

    kind.encode = counted
    try:
        yield given
    finally:
        kind.encode = encode


# the Fisher diagonal -------------------------------------------------------------------------------------------


def fisher(*, count: int = 1000, rounds: int = 9) -> list[Cost]:
    """Time the diagonal of 784-100-100-10 against one backward pass a sample; both give the same values."""
    (x, y), _ = digits()
    rows = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))[:count]
    x, y = x[rows], y[rows]
    model = Classifier(Classifier.Settings(width=100, projector="mlp", hidden=(100,)))
    model.grow(Outline(index=0, name="all", modalities=("pixels",), classes=tuple(range(10)), widths={"pixels": 784}))
    net = nn.Sequential(*[module for module in model.modules() if isinstance(module, nn.Linear | nn.ReLU)], model.head)
    samples = as_samples(x, y, "")
    batches = [samples.batch(part) for part in torch.arange(count).split(1000)]
    exact = fisher_by_sample(net, x, y)
    for found, wanted in zip(fisher_diagonal(model, batches).values(), exact, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-8)
    ratios = []
    for _ in range(rounds):
        slow = seconds(lambda: fisher_by_sample(net, x, y))
        fast = median(seconds(lambda: fisher_diagonal(model, batches)) for _ in range(5))
        ratios.append(slow / fast)
    value = round(median(ratios), 1)
    how = (
        f"784-100-100-10, {count} samples, one batch against one backward pass a sample, same values; "
        f"{min(ratios):.0f} to {max(ratios):.0f} times over {rounds} rounds"
    )
    return [Cost("Fisher diagonal, times faster than a loop over samples", value, ">= 40", value >= 40, how)]


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


# late stages ---------------------------------------------------------------------------------------------------


def late_stages(only: tuple[str, ...] = ()) -> list[Cost]:
    """Compare late stages with early ones of the same size.

    Two learners of the same method take turns, one at the start of the stream and one near its end, so that whatever
    else the machine does falls on both.
    """
    measured = {0, *range(*EARLY.indices(STAGES)), *range(*LATE.indices(STAGES))}
    stages = drifting([MEASURED if index in measured else BETWEEN for index in range(STAGES)])
    alike = (
        f"{STAGES} domain-incremental stages, the head never grows; median of CPU time over pairs of stages, "
        f"{LATE.start + 1}-{LATE.stop} over {EARLY.start + 1}-{EARLY.stop}, each {MEASURED:,} samples, 2 epochs"
    )
    rows = []
    for name in METHODS.names():
        if name not in LEFT_OUT and not METHODS.get(name).parts and (not only or name in only):
            early, late = (Learner(name) for _ in range(2))
            rows.append(compared(f"{name}, training", early.learn, late.learn, stages, alike))
    card = Card(title="drifting toy", licence="none needed", citation="none")
    stream = Stream(name="drifting", scenario="domain-incremental", stages=stages, kinds={"pixels": "table"},
                    class_names=tuple("abcd"), card=card)  # fmt: skip
    for name in [name for name in ("finetune", "replay", "ewc") if not only or name in only]:
        with tempfile.TemporaryDirectory() as folder:
            early, late = (WholeStages(name, Path(folder) / which, stream) for which in ("early", "late"))
            what = f"{name}, training and writing the state"
            rows.append(compared(what, early.learn, late.learn, stages, f"{alike}; without scoring and scores.json"))
    return rows


Learn = Callable[[Stage], float]
"""Learns a stage and returns its CPU seconds."""


def compared(what: str, early: Learn, late: Learn, stages: Sequence[Stage], how: str) -> Cost:
    for stage in stages[: LATE.start]:
        late(stage)
    for stage in stages[: EARLY.start]:
        early(stage)
    gc.collect()
    gc.disable()
    pairs = [(early(first), late(last)) for first, last in zip(stages[EARLY], stages[LATE], strict=True)]
    gc.enable()
    value = round(median(last / first for first, last in pairs), 2)
    return Cost(f"stage {STAGES} against stage 2: {what}", value, "<= 1.1", value <= 1.1, how)


class Learner:
    """A method and its trainer, without a run folder."""

    def __init__(self, name: str) -> None:
        self.model = Classifier(Classifier.Settings(width=32))
        self.method = METHODS.get(name)(self.model, randomness=Randomness(0))
        self.trainer = Trainer(self.method, TrainerSettings(epochs=2, accelerator="cpu"))

    def learn(self, stage: Stage) -> float:
        return seconds(lambda: (self.model.grow(stage), self.trainer.fit(stage)))


class WholeStages(Run):
    """A run whose stages can be asked for one by one; what scoring takes is not counted."""

    def __init__(self, name: str, folder: Path, stream: Stream) -> None:
        settings = run_settings({
            "method": {"name": name}, "stream": {"name": "drifting"}, "encoders": {"pixels": "identity"},
            "model": {"name": "classifier", "width": 32}, "evaluation": {"subsets": False},
            "trainer": {"epochs": 2, "accelerator": "cpu", "checkpoint_seconds": 1e9},
        })  # fmt: skip
        super().__init__(settings, folder, stream=stream)
        folder.mkdir()
        self._open()
        self.scoring = 0.0
        after = self.evaluator.after

        def scored(stage: Stage) -> Any:
            began = time.process_time()
            row = after(stage)
            self.scoring = time.process_time() - began
            return row

        self.evaluator.after = scored  # type: ignore[method-assign]

    def learn(self, stage: Stage) -> float:
        return seconds(lambda: self._one(stage)) - self.scoring


# importing -----------------------------------------------------------------------------------------------------


def importing(*, times: int = 9) -> list[Cost]:
    """Time `import polymnia` in new interpreters, and look whether it loads torch."""
    code = (
        "import sys, time; began = time.perf_counter(); import polymnia; "
        "print(time.perf_counter() - began, 'torch' in sys.modules)"
    )
    found = []
    for _ in range(times):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found.append(done.stdout.split())
    value = round(median(float(took) for took, _ in found), 4)
    loads = any(loaded == "True" for _, loaded in found)
    how = f"median of {times} new interpreters; torch {'is' if loads else 'is not'} loaded by it"
    return [Cost("import polymnia, seconds", value, "<= 0.2, without torch", value <= 0.2 and not loads, how)]
