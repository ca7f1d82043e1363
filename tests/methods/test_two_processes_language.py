"""Methods over a language model, in two gloo processes, compute what they compute in one."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from polymnia.training.checkpoint import load_state

NAMES = ("finetune", "replay", "lwf", "o-lora", "pathweave", "moincl", "gem", "cl-moe", "dualprompt")

SCRIPT = """
import sys
from dataclasses import dataclass, replace
from pathlib import Path
import numpy as np
import torch
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.data.tokens import Tokens
from polymnia.layers.deltas.base import register
from polymnia.layers.deltas.lora import LoRA
from polymnia.methods.base import METHODS
from polymnia.models.language_model import LanguageModel
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import save_state
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

folder, processes, wanted, host = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(), sys.argv[4]

@register("with-a-loss")
class WithALoss(LoRA):
    "One with a loss of its own: a mean over rows."
    def forward(self, given):
        found = super().forward(given)
        self.size = found[:, 0].square().sum(-1).mean()  # what stands first in a row is never padding
        return found
    def losses(self):
        return {"size": 0.5 * self.size}

def stage(index):
    random = torch.Generator().manual_seed(index)
    modality, n = ("image", "sound", "image")[index], 9
    answer = torch.randint(4, 12, (n, 3), generator=random)
    answer[torch.arange(n) % 2 == 0, 1:] = -1  # one token or three: processes have different numbers of rows
    samples = Samples(np.array([f"{index}-{i}" for i in range(n)]),
                      {modality: Tokens.dense(torch.randn(n, 2, 4, generator=random))},
                      {modality: torch.ones(n).bool()}, torch.full((n,), -1),
                      {"task": np.full(n, "captioning"), "prompt": np.full(n, "describe"), "answer": np.full(n, "dot")},
                      {"prompt": torch.tensor([[1, 16]]).expand(n, -1).clone(), "answer": answer})
    return Stage(index=index, name=str(index), task="captioning", modalities=(modality,), widths={modality: 4},
                 train=samples, valid=samples, test=samples)

settings = TrainerSettings(epochs=1, batch_size=5, lr=0.01, accelerator="cpu", devices=processes, count_flops=False)
for name in wanted:
    kind, parts = METHODS.get(name), dict(METHODS.get(name).parts)
    if name == "finetune":
        parts["delta"] = "with-a-loss"
    if name == "pathweave":  # noise is drawn by each process for its own rows
        parts["delta"] = {**parts["delta"], "noise": False}
    fields = LanguageModel.Settings.__dataclass_fields__
    parts = {key: value for key, value in parts.items() if key in fields}
    model = LanguageModel(LanguageModel.Settings(host={"name": "checkpoint", "path": host}, most=4, **parts))
    trainer = Trainer(kind(model, kind.Settings(), randomness=Randomness(0)), settings)
    seen = []
    for index in range(3):
        now = replace(stage(index), earlier=tuple(seen))
        model.grow(now)
        trainer.fit(now)
        seen.append(now)
    logits = torch.cat([trainer.method.predict(b).logits for one in seen for b in trainer.method.batches(one.test)])
    if trainer.fabric.is_global_zero:
        save_state(folder / name, {"logits": logits})
"""


def played(folder, processes, host):
    """Run the script in so many processes, and return what each method predicts in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    running = []
    for rank in range(processes):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes), "NODE_RANK": "0",
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
        command = [sys.executable, "-c", SCRIPT, str(folder), str(processes), " ".join(NAMES), str(host)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | (place if processes > 1 else {})
        running.append(subprocess.Popen(command, env=environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))  # fmt: skip
    for process in running:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    return {name: load_state(folder / name)["logits"] for name in NAMES}


@pytest.fixture(scope="module")
def both(tmp_path_factory, tiny_lm):
    return [played(tmp_path_factory.mktemp(f"{n}-processes"), n, tiny_lm) for n in (1, 2)]


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_predict_what_one_predicts(name, both):
    one, two = (results[name] for results in both)
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-3)
