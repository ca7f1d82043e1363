"""Samples per CPU second of every method against its plain PyTorch counterpart, in interleaved rounds."""

import gc
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch

from benchmarks.peers import PEERS, installed
from benchmarks.plain import PLAIN
from benchmarks.plain.loop import BATCH, EPOCHS, RATE
from benchmarks.plain.rehearsal import MEMORY, REPLAYED
from benchmarks.runners import Material, Ours, Plain, Runner, in_turn
from polymnia.methods.base import METHODS

GOALS = {"finetune": 1.2, "replay": 1.2}
GOAL = 0.9


@dataclass
class Row:
    """One method's rounds: the rates of ours, of the plain one and of an installed peer's."""

    method: str
    rates: dict[str, list[float]] = field(default_factory=dict)
    accuracy: dict[str, float] = field(default_factory=dict)

    def ratios(self, who: str) -> list[float]:
        return [a / b for a, b in zip(self.rates[who], self.rates["plain"], strict=True)]

    def figures(self) -> dict[str, Any]:
        ratios, goal = self.ratios("ours"), GOALS.get(self.method, GOAL)
        return {
            "method": self.method,
            "ratio": round(median(ratios), 3),
            "spread": [round(min(ratios), 3), round(max(ratios), 3)],
            "samples_per_cpu_second": round(median(self.rates["ours"])),
            "plain_samples_per_cpu_second": round(median(self.rates["plain"])),
            "goal": goal,
            "met": median(ratios) >= goal,
            "final_accuracy": round(self.accuracy["ours"], 3),
            "plain_final_accuracy": round(self.accuracy["plain"], 3),
        }

    def peer(self) -> dict[str, Any]:
        ratios = self.ratios("peer")
        return {
            "method": self.method,
            "ratio": round(median(ratios), 3),
            "spread": [round(min(ratios), 3), round(max(ratios), 3)],
            "samples_per_cpu_second": round(median(self.rates["peer"])),
            "final_accuracy": round(self.accuracy["peer"], 3),
        }


def measure(*, rounds: int, only: tuple[str, ...] = (), say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure every method that has a plain counterpart.

    In each round the same method's runners take turns stage by stage, so that whatever else the machine does falls
    on all of them.
    """
    torch.set_num_threads(1)
    material, peer = Material.made(), installed()
    rows = {name: Row(name) for name in PLAIN if name in METHODS and (not only or name in only)}
    in_turn([Ours("replay", material, 0), Plain("replay", material, 0)], 2, first=0)  # lazy imports, the allocator
    gc.collect()
    gc.freeze()
    for seed in range(rounds):
        for name, row in rows.items():
            makers: dict[str, Callable[[], Runner]] = {
                "ours": partial(Ours, name, material, seed), "plain": partial(Plain, name, material, seed),
            }  # fmt: skip
            if peer is not None and name in PEERS:
                makers["peer"] = partial(peer, name, material, seed)
            laps = in_turn([make() for make in makers.values()], len(material.stages), first=seed)
            for who, lap in zip(makers, laps, strict=True):
                row.rates.setdefault(who, []).append(lap.rate)
                row.accuracy[who] = lap.runner.accuracy()
        say(f"throughput: round {seed + 1} of {rounds}")
    gc.unfreeze()
    return {
        "rows": [row.figures() for row in rows.values()],
        "peer": None if peer is None else peer.__name__.lower(),
        "peer_rows": [row.peer() for row in rows.values() if "peer" in row.rates],
        "without_counterpart": [] if only else sorted(set(METHODS) - set(rows)),
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "settings": {
            "stream": "digits of 28 x 28, 12,000 samples, 5 stages of 2 classes", "network": "784-100-100-10",
            "optimiser": "sgd", "lr": RATE, "batch_size": BATCH, "epochs": EPOCHS, "memory": MEMORY, "draw": REPLAYED,
        },
        "clock": "CPU time of the process",
        "included": "growing; every step with hooks, events and count of operations; the work at both ends of a stage",
        "excluded": "loading of data, building network, method and trainer (once a run), evaluation, checkpoints",
    }  # fmt: skip
