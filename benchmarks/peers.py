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
    "lwf": ("LwF", {"alpha": 1.0, "temperature": 2.0}),
    "der++": ("DER", {"mem_size": MEMORY, "batch_size_mem": REPLAYED, "alpha": 0.2, "beta": 1.0}),
}
"""Our name → the class in `avalanche.training`, and its settings."""


class Avalanche:
    """One of its strategies, without its evaluator."""

    def __init__(self, name: str, material: Material, seed: int) -> None:
        import avalanche.training as training
        from avalanche.benchmarks import nc_benchmark

        torch.manual_seed(seed)
        self.net, self.test = network(), material.test
        x, y = (torch.cat(part) for part in zip(*material.parts, strict=True))
        train, test = TensorDataset(x, y), TensorDataset(*material.test)
        train.targets, test.targets = y.tolist(), material.test[1].tolist()
        stream = nc_benchmark(train, test, n_experiences=5, task_labels=False, fixed_class_order=list(range(10)))
        self.experiences = list(stream.train_stream)
        self.strategy = getattr(training, PEERS[name][0])(
            model=self.net, optimizer=torch.optim.SGD(self.net.parameters(), lr=RATE), criterion=CrossEntropyLoss(),
            train_mb_size=BATCH, train_epochs=EPOCHS, evaluator=None, **PEERS[name][1],
        )  # fmt: skip

    def learn(self, index: int) -> int:
        experience = self.experiences[index]
        self.strategy.train(experience, num_workers=0)
        return len(experience.dataset) * EPOCHS

    @torch.no_grad()
    def accuracy(self) -> float:
        x, y = self.test
        return float((self.net(x).argmax(1) == y).float().mean())


def installed() -> type[Avalanche] | None:
    """Return the peer's runner, or None where it is not installed."""
    return Avalanche if find_spec("avalanche") is not None else None
