"""A host shared out among two gloo processes, as two machines of one process each, gives what one process gives."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from polymnia.config import read
from polymnia.errors import SettingsError
from polymnia.methods.base import METHODS
from polymnia.models.classifier import Classifier
from polymnia.models.language_model import LanguageModel
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import load_state
from polymnia.training.run import Run
from polymnia.training.settings import TrainerSettings, run_settings
from polymnia.training.sharding import held, refuse
from polymnia.training.trainer import Trainer

SHARED = ["trainer.strategy=fsdp", "trainer.num_nodes=2", "trainer.checkpoint_steps=4"]


@pytest.fixture
def settings(tmp_path, tiny_lm):
    """Return the path of a settings file; its method looks at every weight that is learned, and at every gradient."""
    given = {
        "stream": {"name": "scenes", "scenario": "tasks", "order": ["captioning audio", "captioning image"],
                   "modalities": ["audio", "image"], "tasks": ["captioning"], "train_samples": 2, "test_samples": 1},
        "encoders": {"audio": "identity", "image": "identity"},
        "model": {"name": "language-model", "host": {"name": "checkpoint", "path": str(tiny_lm)}, "templates": False,
                  "most": 4},
        "method": {"name": "ewc", "strength": 1.0},
        # not Adam, which makes steps of a whole rate of what is rounding where gradients are near 0
        "trainer": {"epochs": 2, "batch_size": 9, "lr": 0.3, "optimiser": "sgd", "momentum": 0.9, "accelerator": "cpu",
                    "count_flops": False},
        "evaluation": {"subsets": False, "probes": ["likelihood"]},
    }  # fmt: skip
    path = tmp_path / "settings.yaml"
    path.write_text(json.dumps(given))
    return path


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from polymnia.config import read
from polymnia.errors import Interrupted
from polymnia.training.checkpoint import Checkpoints
from polymnia.training.run import Run
from polymnia.training.settings import run_settings

def stop(event):
    if event["kind"] == "step" and event["stage"] == 1:
        os.kill(os.getpid(), signal.SIGINT)  # the first process alone is asked: all stop at the same step

class Slow(Checkpoints):  # a slow disk: whoever does not wait for the first process finds no state, or an older one
    def save(self, state):
        time.sleep(2)
        return super().save(state)

given = run_settings(read(sys.argv[1], ["trainer.strategy=fsdp", "trainer.num_nodes=2", "trainer.log_steps=1"]))
try:
    run = Run(given, Path(sys.argv[2]), listen=stop)
    run.checkpoints = Slow(run.checkpoints.folder)
    run.go()
except Interrupted as error:
    print(error)
Run(given, Path(sys.argv[2])).go()  # from the state on the disk
"""


def on_two_machines(*words: str | Path) -> list[tuple[int, str]]:
    """Run a script as on two machines of one process each, by torchrun; return their exit codes and what they said."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
                "--master-addr", "127.0.0.1", "--master-port", port, "--node-rank"]  # fmt: skip
    running = [
        subprocess.Popen([*torchrun, rank, *map(str, words)], env=os.environ | {"OMP_NUM_THREADS": "1"},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in ("0", "1")
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in running]
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


def test_two_machines_that_share_a_host_out_give_what_one_process_gives(settings, tmp_path):
    one, two, script = tmp_path / "one", tmp_path / "two", tmp_path / "script.py"
    script.write_text(SCRIPT)
    (code, said), (other, its) = on_two_machines(script, settings, two)
    assert (code, other) == (0, 0), said + its
    assert "stopped in stage 2 of 2" in said and "stopped in stage 2 of 2" in its
    Run(run_settings(read(settings)), one).go()
    first, second = (json.loads((folder / "scores.json").read_text()) for folder in (one, two))
    likely, its = (scores["probes"]["likelihood"] for scores in (first, second))
    names = [name for name in likely if name.startswith("nats") and not name.endswith("by stage")]
    assert len(names) == 2
    for name in names:
        assert -3.2 < likely[name] < -1e-3, "near the logarithm of one in 24 words, or above"
        assert its[name] == pytest.approx(likely[name], rel=1e-4)
    for mine, its in zip(first["matrix"], second["matrix"], strict=True):
        assert mine == pytest.approx(its, abs=1e-6)
    assert [cost["steps"] for cost in first["cost"]] == [cost["steps"] for cost in second["cost"]]
    for stage in (path.name for path in (one / "stages").iterdir()):
        whole, shared = (load_state(folder / "stages" / stage)["model"]["weights"] for folder in (one, two))
        assert whole.keys() == shared.keys()
        for name, weight in whole.items():
            torch.testing.assert_close(shared[name], weight, rtol=1e-3, atol=1e-4)
    events = map(json.loads, (two / "events.jsonl").read_text().splitlines())
    shares = [(event["held"], event["of"]) for event in events if event["kind"] == "shared out"]
    assert shares and all(2 * held == of > 0 for held, of in shares)


def test_what_cannot_be_shared_out_is_refused_before_training():
    method = METHODS.get("finetune")(Classifier(), randomness=Randomness(0))
    with pytest.raises(SettingsError, match=r"model 'classifier' has none.*language-model.*strategy=ddp"):
        Trainer(method, TrainerSettings(strategy="fsdp", devices=2, accelerator="cpu"))
    with pytest.raises(SettingsError, match=r"among processes, and there is one.*devices=2"):
        refuse(LanguageModel(), processes=1)
    assert held(LanguageModel()) == (0, 0)
