"""Two gloo processes compute what one computes, for losses that look at all rows at once."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
import torch
import torch.distributed as dist
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.models.classifier import Classifier
from polymnia.training.parallel import average, gather, spread

rank, rows, port = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)

def make():
    model = Classifier()
    widths = {"a": 6, "b": 3}
    model.grow(Outline(index=0, name="s", modalities=("a", "b"), classes=(0, 1, 2), widths=widths))
    return model

g = torch.Generator().manual_seed(0)
has = torch.rand(rows, generator=g) > 0.4
has[0] = True
batch = Batch(
    {"a": torch.randn(rows, 2, 6, generator=g), "b": torch.randn(rows, 1, 3, generator=g)},
    torch.randint(0, 3, (rows,), generator=g),
    present={"b": has, "a": None},
)

def loss(model):
    output = model(batch)
    joint = torch.nn.functional.normalize(output.representations["joint"], dim=1)
    contrastive = torch.logsumexp(joint @ joint.T / 0.1, 1).mean()  # every row meets every row
    penalty = sum(p.square().sum() for p in model.parameters())  # no row at all
    return torch.nn.functional.cross_entropy(output.logits, output.targets) + contrastive + 0.1 * penalty

alone = make()
loss(alone).backward()

dist.init_process_group("gloo", rank=rank, world_size=2)
model = make()
spread(model)
value = loss(model)
value.backward()
average([p.grad for p in model.parameters()])
for (name, p), q in zip(model.named_parameters(), alone.parameters()):
    torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-6, msg=lambda m: f"{name}: {m}")
output = model.predict(batch)
torch.testing.assert_close(output.logits, alone.predict(batch).logits, rtol=1e-5, atol=1e-6)
assert torch.equal(output.targets, batch.targets)
mine = torch.arange(float(rank + 1)).reshape(-1, 1)
assert gather(mine).flatten().tolist() == [0.0, 0.0, 1.0]
print("equal")
dist.destroy_process_group()
"""


@pytest.mark.parametrize("rows", [8, 7, 1])
def test_gradients_and_outputs_are_those_of_one_process(rows, free_port):
    command = [sys.executable, "-c", SCRIPT]
    both = [
        subprocess.Popen([*command, str(rank), str(rows), str(free_port)], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]  # fmt: skip
    for process in both:
        out, said = process.communicate(timeout=120)
        assert out.strip() == "equal", said


@pytest.fixture
def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
