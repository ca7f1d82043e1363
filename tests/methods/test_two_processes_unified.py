"""Methods over a model that draws, in two gloo processes, compute what they compute in one."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from polymnia.training.checkpoint import load_state

NAMES = ("mode", "drawing-distillation", "finetune:decoupled", "combined")

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import torch
from torch import nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.data.tokens import Tokens
from polymnia.hosts.joint_vocabulary import JointVocabulary
from polymnia.hosts.pictures import PictureTokeniser
from polymnia.hosts.texts import padded
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.hosts.unified import as_tokens
from polymnia.methods.base import METHODS
from polymnia.methods.drawing_distillation import DrawingDistillation
from polymnia.models.unified_model import UnifiedModel, marked
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import save_state
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

folder, processes, wanted, host = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(), sys.argv[4]

class Nothing(PictureTokeniser):
    "Samples hold codes already."
    side, codes, length = 4, 4, 4
    def encode(self, pixels): raise AssertionError("a picture was to be encoded, and samples hold codes")
    def decode(self, codes): raise AssertionError("codes were to be drawn, and this test draws nothing")

tokeniser = Tokeniser(PreTrainedTokenizerFast.from_pretrained(host))
loaded = JointVocabulary(LlamaForCausalLM.from_pretrained(host), tokeniser, Nothing(),
                         ids=torch.arange(6, 10), marks=(4, 5))  # the last words stand for marks and codes

def samples_of(index, draws, n=9):
    random = torch.Generator().manual_seed(index)
    codes = torch.randint(4, (n, 4), generator=random)
    texts = ["what colour is it ?" if row % 3 else "what is it ?" for row in range(n)]
    sequences = {"prompt": padded([tokeniser.prompt(text) for text in texts])}
    if not draws:
        answers = ["a red dot" if row % 2 else "star" for row in range(n)]
        sequences["answer"] = padded([tokeniser.answer(text) for text in answers])
    held = Samples(np.array([f"{index}-{draws}-{i}" for i in range(n)]), {"image": Tokens.dense(as_tokens(codes))},
                   {"image": torch.ones(n).bool()}, torch.full((n,), -1), {}, sequences)
    return marked(held, draws)

def stage(index):
    held, task = samples_of(index, index == 1), "generation" if index == 1 else "answering"
    return Stage(index=index, name=str(index), task=task, modalities=("image",), widths={"image": 2},
                 train=held, valid=held, test=held)

settings = TrainerSettings(epochs=1, batch_size=5, lr=0.01, accelerator="cpu", devices=processes, count_flops=False)
for name in wanted:
    kind = METHODS.get(name.partition(":")[0])
    delta = "lora" if name == "drawing-distillation" else {"name": "decoupled", "dropout": 0.0}  # drawn by each process
    model = UnifiedModel(UnifiedModel.Settings(host={"name": "checkpoint", "path": host}, most=4, delta=delta))
    model.host = loaded
    own = kind.Settings(of=("replay", "drawing-distillation")) if name == "combined" else kind.Settings()
    trainer = Trainer(kind(model, own, randomness=Randomness(0)), settings)
    for each in getattr(trainer.method, "members", [trainer.method]):
        if isinstance(each, DrawingDistillation):
            each._pictures = samples_of(9, True, n=7)
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
    assert float(one.std()) > 0
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-3)
