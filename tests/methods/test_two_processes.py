"""Every method, in two gloo processes, computes what it computes in one."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from polymnia.methods.base import METHODS
from polymnia.models.classifier import Classifier
from polymnia.training.checkpoint import load_state

CLASSIFY = [name for name in METHODS if METHODS.get(name).needs <= Classifier.provides]
SPACES = [f"{name}:space" for name in METHODS if METHODS.get(name).needs <= {"space", "representations"}]
NAMES = [*CLASSIFY, *(f"{name}:adapted" for name in CLASSIFY if METHODS.get(name).parts), *SPACES]
"""All on a classifier, those with parts inside encoders there too, and all that can work in a shared space."""

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import torch
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.data.tokens import Tokens
from polymnia.encoders.base import ENCODERS
from polymnia.methods.base import METHODS
from polymnia.models.adapted import Adapted
from polymnia.models.classifier import Classifier
from polymnia.models.shared_space import SharedSpace
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import save_state
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

folder, processes, wanted = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split()
SMALL = {"ranpac": {"features": 20}, "ewc": {"strength": 10.0}, "si": {"strength": 10.0},
         "cross-modality-adapters": {"align": 0.0, "relate": 0.0}, "moe-adapters": {"freeze": False}}
SPACE = {"comet": {"translator": "ridge"}}  # hundreds of Adam steps on few vectors would make rounding grow

def stage(index, paired=False):
    random = torch.Generator().manual_seed(index)
    targets = 2 * index + torch.arange(25) % 2
    has = torch.rand(25, generator=random) > 0.3
    values = {"a": torch.randn(25, 1, 6, generator=random) + targets[:, None, None],
              "b": torch.randn(25, 1, 4, generator=random)}
    samples = Samples(np.array([f"{index}-{i}" for i in range(25)]), {m: Tokens.dense(v) for m, v in values.items()},
                      {"a": torch.ones(25).bool(), "b": has}, targets)
    if paired:  # "text" is the mediator; the other half comes new with each stage
        new = "abc"[index]
        pair = {"text": torch.randn(25, 4, 6, generator=random), new: torch.randn(25, 5, 4, generator=random)}
        pair[new] += pair["text"][:, :1, :4]
        whole = torch.ones(25).bool()
        tokens = {m: Tokens.dense(v) for m, v in pair.items()}
        samples = Samples(samples.ids, tokens, dict.fromkeys(pair, whole), targets)
        return Stage(index=index, name=str(index), task="pairing", modalities=tuple(sorted(pair)),
                     classes=(2 * index, 2 * index + 1), widths={m: v.shape[2] for m, v in pair.items()},
                     train=samples, valid=samples, test=samples)
    return Stage(index=index, name=str(index), modalities=("a", "b"), classes=(2 * index, 2 * index + 1),
                 widths={"a": 6, "b": 4}, train=samples, valid=samples, test=samples)

def model_of(kind, where):
    if where == "space":
        parts = {"width": 8, "steps": 3, **kind.parts}
        if "codebook" in parts:
            parts["codebook"] = {"name": parts["codebook"], "codes": 6}
        return SharedSpace(SharedSpace.Settings(**parts))
    if not where:
        return Classifier(Classifier.Settings(width=8, fusion="attention"))
    parts = {k: v for k, v in kind.parts.items() if k in Adapted.Settings.__dataclass_fields__}
    if kind.name == "moe-adapters":  # noise is drawn by each process for its own rows
        parts["adapter"] = {**parts["adapter"], "noise": False}
    model = Adapted(Adapted.Settings(width=8, **parts))
    encoder = ENCODERS.get("random-transformer")
    sizes = {"a": 6, "b": 4}
    model.attach({m: encoder(encoder.Settings(width=w, layers=2, heads=2)).cut(0)[1] for m, w in sizes.items()})
    return model

settings = TrainerSettings(epochs=1, batch_size=8, lr=0.003, accelerator="cpu", devices=processes, count_flops=False)
for name in wanted:
    method_name, _, where = name.partition(":")
    kind = METHODS.get(method_name)
    held = SPACE.get(method_name, {}) if where == "space" else {} if where else SMALL.get(name, {})
    method = kind(model_of(kind, where), kind.Settings(**held), randomness=Randomness(0))
    trainer, seen = Trainer(method, settings), []
    for index in range(3):
        now = replace(stage(index, where == "space"), earlier=tuple(seen))
        method.model.grow(now)
        trainer.fit(now)
        seen.append(now)
    outputs = [method.predict(batch) for one in seen for batch in method.batches(one.test)]
    logits = [r for o in outputs for _, r in sorted(o.representations.items())] if where == "space" else [
        o.logits for o in outputs]
    if trainer.fabric.is_global_zero:
        save_state(folder / name, {"logits": torch.cat(logits)})
"""


def played(folder, processes):
    """Run the script in so many processes, and return what each method predicts in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    running = []
    for rank in range(processes):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes), "NODE_RANK": "0",
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}  # fmt: skip
        command = [sys.executable, "-c", SCRIPT, str(folder), str(processes), " ".join(NAMES)]
        running.append(subprocess.Popen(command, env=os.environ | (place if processes > 1 else {}),
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))  # fmt: skip
    for process in running:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    return {name: load_state(folder / name)["logits"] for name in NAMES}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return [played(tmp_path_factory.mktemp(f"{n}-processes"), n) for n in (1, 2)]


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_predict_what_one_predicts(name, both):
    one, two = (results[name] for results in both)
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-3)
    assert bool((two.argmax(1) == one.argmax(1)).float().mean() > 0.97)
