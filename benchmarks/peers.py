"""Avalanche, where it is installed, in the same rounds and on the same samples; it is not needed."""

from importlib.util import find_spec
from typing import Any

import torch
from torch.nn import CrossEntropyLoss
from torch.utils.data import TensorDataset

from benchmarks.plain.loop import BATCH, EPOCHS, RATE, network
from benchmarks.plain.rehearsal import MEMORY, REPLAYED
from benchmarks.runners import Material

HOW = """\
avalanche-lib is not installed, so no peer was measured. It replaces the installed torch by another one: put it into an
environment of its own, then measure both there:
    python -m venv avalanche-env && avalanche-env/bin/pip install avalanche-lib==0.6.0
    avalanche-env/bin/pip install -e '.[bundled]' && avalanche-env/bin/python -m benchmarks throughput"""

PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "finetune": ("Naive", {}),
    "replay": ("Replay", {"mem_size": MEMORY}),
    "ewc": ("EWC", {"ewc_lambda": 1.0, "mode": "online", "decay_factor": 1.0}),
    "der++": ("DER", {"mem_size": MEMORY, "batch_size_mem": REPLAYED, "alpha": 0.2, "beta": 1.0}),
}
"""Our name → the class in `avalanche.training`, and its settings."""


class Avalanche:
    """One of its strategies, without its evaluator."""

    def __init__(self, name: str, material: Material, seed: int) -> None:
        from avalanche import training
        from avalanche.benchmarks import benchmark_from_datasets
        from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute

        torch.manual_seed(seed)
        self.net, self.test = network(), material.test
        stages = []
        for x, y in material.parts:
            labels = DataAttribute(y.tolist(), "targets")
            tasks = DataAttribute([0] * len(y), "targets_task_labels", use_in_getitem=True)
            stages.append(AvalancheDataset([TensorDataset(x, y)], data_attributes=[labels, tasks]))
        self.stages = list(benchmark_from_datasets(train=stages, test=stages).train_stream)
        kind, own = PEERS[name]
        self.strategy = getattr(training, kind)(
            model=self.net, optimizer=torch.optim.SGD(self.net.parameters(), lr=RATE), criterion=CrossEntropyLoss(),
            train_mb_size=BATCH, train_epochs=EPOCHS, evaluator=None, **own,
        )  # fmt: skip

    def learn(self, index: int) -> int:
        self.strategy.train(self.stages[index], eval_streams=[], num_workers=0)
        return len(self.stages[index].dataset) * EPOCHS

    @torch.no_grad()
    def accuracy(self) -> float:
        x, y = self.test
        return float((self.net(x).argmax(1) == y).float().mean())


def installed() -> type[Avalanche] | None:
    """Return the peer's runner, or None where it is not installed."""
    return Avalanche if find_spec("avalanche") is not None else None
