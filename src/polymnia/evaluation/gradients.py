"""Gradients of a stage's loss and of drawing, and what they have in common, by layer and by part."""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.errors import DataError
from polymnia.layers.deltas.base import Delta
from polymnia.methods.base import Method
from polymnia.models.base import Model
from polymnia.models.drawings import drawings

PARTS = ("text", "picture", "shared")
ROWS = 64
"""Pictures that go through the model at once."""
OTHER = "other"
"""The layer of what stands in none."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The parameters of a model that are trained, and where each stands.

    Parameters
    ----------
    parameters : list of nn.Parameter
        In the order of their names.
    layers : list of str
        All layers that have any.
    cells : Tensor
        (P,): for each parameter its layer's number times three, and its part's.
    """

    parameters: list[nn.Parameter]
    layers: list[str]
    cells: Tensor

    def summed(self, values: Sequence[Tensor]) -> Tensor:
        """Return (L, 3): for each layer and part the sum of all numbers of its parameters' tensors."""
        found = torch.zeros(len(self.layers) * len(PARTS), dtype=torch.float64)
        each = torch.stack([value.sum(dtype=torch.float64).cpu() for value in values])
        return found.index_add(0, self.cells, each).reshape(-1, len(PARTS))

    def inner(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
        """Return (L, 3): the inner products of two lists of tensors, one of each parameter."""
        return self.summed([a * b for a, b in zip(one, other, strict=True)])

    @property
    def parts(self) -> list[str]:
        """The parts that have parameters."""
        there = set((self.cells % len(PARTS)).tolist())
        return [part for number, part in enumerate(PARTS) if number in there]

    def of(self, part: str) -> list[bool]:
        """Return which parameters are of a part, or of "all"."""
        return [part == "all" or PARTS[cell % len(PARTS)] == part for cell in self.cells.tolist()]


def layout(model: Model) -> Layout:
    """Return where the trained parameters of a model stand, by what its deltas say of theirs.

    A layer is one of the host's decoder; parameters beside it are "other", and are used by all tokens.
    """
    told: dict[str, tuple[str, str]] = {}
    for prefix, module in model.named_modules():
        if isinstance(module, Delta):
            layer = layer_of(prefix)
            told |= {f"{prefix}.{name}": (layer, part) for name, part in module.parts().items()}
    trained = model.trainable()
    places = [told.get(name, (OTHER, "shared")) for name in trained]
    layers = sorted({layer for layer, _ in places}, key=lambda name: (name == OTHER, len(name), name))
    cells = [len(PARTS) * layers.index(layer) + PARTS.index(part) for layer, part in places]
    return Layout(parameters=list(trained.values()), layers=layers, cells=torch.tensor(cells, dtype=torch.long))


def layer_of(name: str) -> str:
    """Return the layer, from 1, of a linear layer of a host, by its name.

    Examples
    --------
    >>> layer_of("deltas.model/layers/0/mlp/gate_proj")
    'layer 1'
    """
    found = re.search(r"[./](\d+)[./]", name)
    return f"layer {int(found[1]) + 1}" if found else OTHER


def fixed_pictures(model: Any, source: Any, most: int) -> Samples:
    """Return so many pictures of a source, with their prompts, evenly spread: of its test samples, if it has any.

    Parameters
    ----------
    model : UnifiedModel
        It encodes them.
    source : Mapping or str
        A source's name and settings.
    most : int
        How many at most.

    Raises
    ------
    DataError
        There is none.
    """
    stage = drawings(model, {"name": source} if isinstance(source, str) else source)
    samples = next((part for part in (stage.test, stage.valid, stage.train) if len(part)), stage.test)
    few = min(most, len(samples))
    if not few:
        raise DataError(f"pictures: {source} has no sample that can be drawn")
    return samples.subset(torch.arange(few) * len(samples) // few)


def reading_gradient(method: Method, batch: Batch, held: Layout) -> list[Tensor]:
    """Return g_t: the gradient of what the family minimises on a batch, in training, without the method's own terms."""
    return _gradient(method, method.task_loss(method.model(batch)), held)


def drawing_gradient(method: Method, pictures: Samples, held: Layout) -> tuple[list[Tensor], float]:
    """Return g_v, the gradient of `drawing_loss`, and that loss."""
    total, loss = [torch.zeros_like(p) for p in held.parameters], 0.0
    for term in _drawing_terms(method, pictures):
        total = [a + b for a, b in zip(total, _gradient(method, term, held), strict=True)]
        loss += float(term.detach())
    return total, loss


@torch.no_grad()
def drawing_loss(method: Method, pictures: Samples) -> float:
    """Return L_v: the mean negative log-likelihood of pictures' codes given their prompts, in nats."""
    return sum(float(term) for term in _drawing_terms(method, pictures))


def _drawing_terms(method: Method, pictures: Samples) -> Iterator[Tensor]:
    """Yield terms that sum up to the loss; all pictures have equally many codes."""
    for batch in method.batches(pictures, ROWS):
        with method.model.evaluating():
            output = method.model(batch)
        yield cross_entropy(output.logits, output.targets, ignore_index=-1) * (len(batch) / len(pictures))


def _gradient(method: Method, loss: Tensor, held: Layout) -> list[Tensor]:
    if not loss.requires_grad:  # nothing that is trained is used: drawing beside experts for texts alone
        return [torch.zeros_like(p) for p in held.parameters]
    found = list(torch.autograd.grad(loss, held.parameters, allow_unused=True, materialize_grads=True))
    method.average(found)
    return found


@contextmanager
def undisturbed(method: Method) -> Generator[None, None, None]:
    """Put back, after the block, torch's random generators and the model's buffers; gradients are not touched."""
    device = method.device
    buffers = [(buffer, buffer.clone()) for buffer in method.model.buffers()]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
