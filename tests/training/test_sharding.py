"""A host shared out among two gloo processes, as two machines of one process each, gives what one process gives."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.methods.base import METHODS
from polymnia.models.classifier import Classifier
from polymnia.models.language_model import LanguageModel
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import load_state
from polymnia.training.settings import TrainerSettings
from polymnia.training.sharding import held, refuse
from polymnia.training.trainer import Trainer

SHARED = ["trainer.strategy=fsdp", "trainer.num_nodes=2", "trainer.checkpoint_steps=2"]


@pytest.fixture
def polymnia(tmp_path, tiny_lm):
    """Return a function that starts a run on so many machines of one process each; all of them are this one."""
    given = {
        "stream": {"name": "scenes", "scenario": "tasks", "order": ["captioning audio", "captioning image"],
                   "modalities": ["audio", "image"], "tasks": ["captioning"], "train_samples": 2, "test_samples": 1},
        "encoders": {"audio": "identity", "image": "identity"},
        "model": {"name": "language-model", "host": {"name": "checkpoint", "path": str(tiny_lm)}, "templates": False,
                  "most": 4},
        "method": {"name": "ewc", "strength": 1.0},  # it looks at every weight and every gradient
        "trainer": {"epochs": 1, "batch_size": 9, "lr": 0.01, "accelerator": "cpu", "count_flops": False},
        "evaluation": {"subsets": False},
    }  # fmt: skip
    path = tmp_path / "settings.yaml"
    path.write_text(json.dumps(given))

    def start(folder: Path, *overrides: str, machines: int = 1, port: int = 0) -> list[subprocess.Popen]:
        words = ["-m", "polymnia", "run", str(path), *overrides, "--out", str(folder)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        if machines == 1:
            return [subprocess.Popen([sys.executable, *words], env=environment, stderr=subprocess.PIPE, text=True)]
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(machines), "--nproc-per-node", "1"]
        torchrun += ["--master-addr", "127.0.0.1", "--master-port", str(port)]
        return [
            subprocess.Popen([*torchrun, "--node-rank", str(machine), *words], env=environment,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for machine in range(machines)
        ]  # fmt: skip

    return start


def port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ended(processes: list[subprocess.Popen]) -> list[tuple[int, str]]:
    said = [process.communicate(timeout=300)[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def test_two_machines_that_share_a_host_out_give_what_one_process_gives(polymnia, tmp_path):
    one = polymnia(tmp_path / "one")
    cut = polymnia(tmp_path / "two", *SHARED, machines=2, port=port())
    until = time.monotonic() + 120
    while not list((tmp_path / "two" / "state").glob("[0-9]*")) and time.monotonic() < until:
        assert all(process.poll() is None for process in cut), ended(cut)
        time.sleep(0.02)
    for process in cut:
        process.send_signal(signal.SIGTERM)  # torchrun hands it on, and every process saves and stops
    ended(cut)
    assert list((tmp_path / "two" / "state").glob("[0-9]*"))
    (code, said), *others = ended(polymnia(tmp_path / "two", *SHARED, machines=2, port=port()))
    assert code == 0 and all(code == 0 for code, _ in others), (said, others)
    (code, said), *_ = ended(one)
    assert code == 0, said
    scores = [json.loads((tmp_path / name / "scores.json").read_text()) for name in ("one", "two")]
    assert scores[0]["matrix"] == pytest.approx(scores[1]["matrix"], abs=1e-6)
    stages = sorted(path.name for path in (tmp_path / "one" / "stages").iterdir())
    assert len(stages) == 2
    for stage in stages:
        whole, shared = (load_state(tmp_path / name / "stages" / stage)["model"]["weights"] for name in ("one", "two"))
        assert whole.keys() == shared.keys()
        for name, weight in whole.items():
            assert type(shared[name]) is torch.Tensor
            torch.testing.assert_close(shared[name], weight, rtol=1e-3, atol=1e-4)
    assert [c["steps"] for c in scores[0]["cost"]] == [c["steps"] for c in scores[1]["cost"]]


HALVES = """
import sys
import torch.distributed as dist
from dataclasses import replace
from polymnia.data.stage import Outline
from polymnia.models.language_model import LanguageModel
from polymnia.training.sharding import held, shard
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{sys.argv[2]}", rank=int(sys.argv[3]), world_size=2)
model = LanguageModel(LanguageModel.Settings(host={"name": "checkpoint", "path": sys.argv[1]}))
model.grow(Outline(index=0, name="s", modalities=("image",), classes=(), widths={"image": 4}))
before = held(model)
print(before, shard(model), shard(model))
dist.destroy_process_group()
"""


def test_each_process_holds_its_share(tiny_lm):
    command, at = [sys.executable, "-c", HALVES, str(tiny_lm)], str(port())
    both = [subprocess.Popen([*command, at, rank], stdout=subprocess.PIPE, text=True) for rank in "01"]
    found = [[int(each) for each in process.communicate(timeout=120)[0].split()] for process in both]
    assert all(now == again for _, now, again in found)
    assert found[0][1] + found[1][1] == found[0][0] == found[1][0]
    assert found[0][1] == found[1][1]


def test_what_cannot_be_shared_out_is_refused_before_training():
    method = METHODS.get("finetune")(Classifier(), randomness=Randomness(0))
    with pytest.raises(SettingsError, match=r"model 'classifier' has none.*language-model.*strategy=ddp"):
        Trainer(method, TrainerSettings(strategy="fsdp", devices=2, accelerator="cpu"))
    with pytest.raises(SettingsError, match=r"among processes, and there is one.*devices=2"):
        refuse(LanguageModel(), processes=1)
    with pytest.raises(SettingsError, match=r"trainer.strategy: no such strategy: 'fsdb'. Did you mean 'fsdp'"):
        TrainerSettings(strategy="fsdb")
    assert held(LanguageModel()) == 0
