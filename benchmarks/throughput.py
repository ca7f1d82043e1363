"""Samples per CPU second of every method against its plain PyTorch counterpart, in interleaved rounds."""

import gc
import platform
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import peers
from benchmarks.plain import PLAIN
from benchmarks.plain.loop import BATCH, EPOCHS, RATE
from benchmarks.plain.rehearsal import MEMORY, REPLAYED
from benchmarks.streams import as_stages, digits
from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.methods.base import METHODS
from polymnia.models.classifier import Classifier
from polymnia.randomness import Randomness
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

GOALS = {"finetune": 1.2, "replay": 1.2}
GOAL = 0.9
Parts = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Bench:
    """What all runs share: the stages, in both shapes, and what to test on."""

    stages: tuple[Stage, ...]
    parts: Parts
    test: tuple[Tensor, Tensor]

    @classmethod
    def made(cls) -> "Bench":
        (x, y), test = digits()
        stages = as_stages(x, y)
        rows = [torch.isin(y, torch.tensor(stage.classes)) for stage in stages]
        return cls(stages, [(x[r], y[r]) for r in rows], test)


@dataclass
class Row:
    """One method's rounds."""

    method: str
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    accuracy: tuple[float, float] = (0.0, 0.0)

    def figures(self) -> dict[str, Any]:
        ratios = [a / b for a, b in zip(self.ours, self.plain, strict=True)]
        goal = GOALS.get(self.method, GOAL)
        return {
            "method": self.method,
            "ratio": round(median(ratios), 3),
            "spread": [round(min(ratios), 3), round(max(ratios), 3)],
            "samples_per_cpu_second": round(median(self.ours)),
            "plain_samples_per_cpu_second": round(median(self.plain)),
            "goal": goal,
            "met": median(ratios) >= goal,
            "final_accuracy": round(self.accuracy[0], 3),
            "plain_final_accuracy": round(self.accuracy[1], 3),
        }


def ours(name: str, bench: Bench, seed: int) -> tuple[float, float]:
    """Return (samples per CPU second, accuracy over all classes at the end) of a method through the Trainer."""
    model = Classifier(
        Classifier.Settings(width=100, projector="mlp", hidden=(100,), fusion="mean", head="linear"), seed=seed
    )
    kind = METHODS.get(name)
    method = kind(model, settings(kind), randomness=Randomness(seed))
    how = TrainerSettings(epochs=EPOCHS, batch_size=BATCH, optimiser="sgd", lr=RATE, accelerator="cpu")
    events: list[dict[str, Any]] = []
    trainer = Trainer(method, how, emit=events.append)
    trained = 0
    gc.collect()
    began = time.process_time()
    for stage in bench.stages:
        model.grow(stage)
        trainer.fit(stage)
        trained += trainer.position.samples_done
    spent = time.process_time() - began
    x, y = bench.test
    output = method.predict(Batch({"pixels": x.unsqueeze(1)}, y, {"pixels": None}, {"pixels": None}))
    return trained / spent, float((output.logits.argmax(1) == y).float().mean())


def settings(kind: Any) -> Any:
    """Return the method's settings: its defaults, with the memory and the replay batch of this benchmark."""
    wanted = {"memory": MEMORY, "draw": REPLAYED}
    return kind.Settings(**{k: v for k, v in wanted.items() if k in kind.Settings.__dataclass_fields__})


def plain(name: str, bench: Bench, seed: int) -> tuple[float, float]:
    """Return the same two figures of the plain counterpart."""
    torch.manual_seed(seed)
    random.seed(seed)
    learner = PLAIN[name]()
    gc.collect()
    began = time.process_time()
    for x, y in bench.parts:
        learner.learn(x, y)
    spent = time.process_time() - began
    x, y = bench.test
    return learner.trained / spent, float((learner.predict(x) == y).float().mean())


def measure(*, rounds: int, only: tuple[str, ...] = (), say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure every method that has a plain counterpart; each round runs ours and the plain one in turn."""
    torch.set_num_threads(1)
    bench = Bench.made()
    names = [name for name in PLAIN if name in METHODS and (not only or name in only)]
    rows = {name: Row(name) for name in names}
    others = peers(bench.parts)
    theirs: dict[str, list[float]] = {name: [] for name in others}
    ours("finetune", bench, 0), plain("finetune", bench, 0)  # warm up: lazy imports, the allocator
    for seed in range(rounds):
        for name, row in rows.items():
            first, second = (ours, plain) if seed % 2 == 0 else (plain, ours)
            results = {f: f(name, bench, seed) for f in (first, second)}
            row.ours.append(results[ours][0])
            row.plain.append(results[plain][0])
            row.accuracy = (results[ours][1], results[plain][1])
        for name, run in others.items():
            theirs[name].append(run(seed))
        say(f"round {seed + 1} of {rounds}")
    missing = sorted(set(METHODS.names()) - set(names)) if not only else []
    return {
        "rows": [row.figures() for row in rows.values()],
        "peers": [
            {"peer": n.split("/")[0], "method": n.split("/")[1], "samples_per_cpu_second": round(median(v)),
             "share_of_plain": round(median(v) / median(rows[n.split("/")[1]].plain), 3)}
            for n, v in theirs.items() if n.split("/")[1] in rows
        ],
        "without_counterpart": missing,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "settings": {
            "stream": "digits 28 x 28, 12,000 samples, 5 stages of 2 classes", "network": "784-100-100-10",
            "optimiser": "sgd", "lr": RATE, "batch_size": BATCH, "epochs": EPOCHS, "memory": MEMORY,
            "replay_batch": REPLAYED,
        },
        "clock": "CPU time of the process",
        "included": "growing; every step with its hooks, events and FLOP count; the work before and after each stage",
        "excluded": "loading of data, building network, method and trainer (once a run), evaluation, checkpoints",
    }  # fmt: skip
