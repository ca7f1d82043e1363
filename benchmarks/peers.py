"""Installed peers, measured in the same rounds on the same stages and network; none is required."""

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from benchmarks.plain.loop import BATCH, EPOCHS, RATE
from benchmarks.plain.rehearsal import MEMORY, REPLAYED

HOW = "avalanche-lib is not installed, so no peer was measured (benchmarks/README.md says how to install it)"
Parts = list[tuple[Tensor, Tensor]]


def peers(parts: Parts) -> dict[str, Callable[[int], float]]:
    """Return "peer/method" → (seed → samples per CPU second); empty when no peer is installed."""
    if find_spec("avalanche") is None:
        return {}
    return {f"avalanche/{name}": _Avalanche(name, parts) for name in ("finetune", "replay", "ewc", "der++")}


class _Avalanche:
    """One of Avalanche's strategies over the benchmark's stages, without its evaluator."""

    def __init__(self, name: str, parts: Parts) -> None:
        self.name, self.parts = name, parts

    def __call__(self, seed: int) -> float:
        from avalanche.benchmarks import benchmark_from_datasets
        from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute

        torch.manual_seed(seed)
        stages = []
        for x, y in self.parts:
            labels = DataAttribute(y.tolist(), "targets")
            tasks = DataAttribute([0] * len(y), "targets_task_labels", use_in_getitem=True)
            stages.append(AvalancheDataset([TensorDataset(x, y)], data_attributes=[labels, tasks]))
        benchmark = benchmark_from_datasets(train=stages, test=stages)
        strategy = self._strategy()
        began = time.process_time()
        for stage in benchmark.train_stream:
            strategy.train(stage, eval_streams=[], num_workers=0)
        return sum(len(y) for _, y in self.parts) * EPOCHS / (time.process_time() - began)

    def _strategy(self) -> Any:
        from avalanche import training

        net = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
        shared = {
            "model": net, "optimizer": torch.optim.SGD(net.parameters(), lr=RATE), "criterion": nn.CrossEntropyLoss(),
            "train_mb_size": BATCH, "train_epochs": EPOCHS, "evaluator": None,
        }  # fmt: skip
        kinds = {
            "finetune": (training.Naive, {}),
            "replay": (training.Replay, {"mem_size": MEMORY}),
            "ewc": (training.EWC, {"ewc_lambda": 1.0, "mode": "online", "decay_factor": 1.0}),
            "der++": (training.DER, {"mem_size": MEMORY, "batch_size_mem": REPLAYED, "alpha": 0.2, "beta": 1.0}),
        }
        kind, own = kinds[self.name]
        return kind(**shared, **own)
