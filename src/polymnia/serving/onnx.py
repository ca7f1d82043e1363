"""A model's part behind the encoders as an ONNX file, checked: the same vectors give the same logits."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.errors import MissingExtra, StateError
from polymnia.methods.all_rules import MOST, AllRules
from polymnia.methods.base import Method
from polymnia.methods.linear_rule import LinearRule
from polymnia.serving.loading import Learned
from polymnia.training.build import pools

TOLERANCE = 1e-4
"""Largest difference of a logit: the two run times order their sums differently."""
PRESENT = "_present"


@dataclass(frozen=True)
class Checked:
    """What was compared.

    Parameters
    ----------
    samples : int
        How many.
    difference : float
        The largest of any logit.
    """

    samples: int
    difference: float


class Logits(nn.Module):
    """A method as a function of tensors: for each modality vectors (B, d) and whether they are there, (B,) bool."""

    def __init__(self, method: Method, modalities: tuple[str, ...]) -> None:
        super().__init__()
        self.model = AllRules(method) if isinstance(method, LinearRule) else method.model
        self.modalities = modalities

    def forward(self, *given: Tensor) -> Tensor:
        """Return logits (B, K)."""
        values = {m: each.unsqueeze(1) for m, each in zip(self.modalities, given[::2], strict=True)}
        present: dict[str, Tensor | None] = dict(zip(self.modalities, given[1::2], strict=True))
        targets = torch.zeros_like(given[1], dtype=torch.int64) - 1
        found: Any = self.model(Batch(values, targets, present=present))
        logits: Tensor = found if isinstance(found, Tensor) else found.logits
        return logits


def why_not(learned: Learned) -> str | None:
    """Return why a model has no ONNX file, or None where it may have one."""
    method = learned.method
    if "one row a sample" not in method.model.provides or not pools(learned.settings):
        return f"model {method.model.name!r} wants more than one vector a modality"
    if isinstance(method, LinearRule):
        many = len(method.slots)
        return None if many <= MOST else f"method {method.name!r} has a rule for each of 2^{many} sets of modalities"
    if type(method).predict is not Method.predict:
        return f"method {method.name!r} does not tell classes by the model's own logits"
    return None


def to_onnx(learned: Learned, path: Path, samples: Samples) -> Checked:
    """Write the part behind the encoders, and compare what it says of samples.

    Inputs are, for each modality m, `m` (B, d) float32, what the encoder says of a value, averaged over its tokens as
    in training, and `m_present` (B,) bool; the output is `logits` (B, K).

    Parameters
    ----------
    learned : Learned
        Of which `why_not` has nothing to say.
    path : Path
        The file.
    samples : Samples
        Encoded, at least one.

    Raises
    ------
    MissingExtra
        ONNX is not installed.
    StateError
        The file gives other logits.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        raise MissingExtra("onnx, onnxscript and onnxruntime", "onnx") from None
    learned.method.model.eval()
    modalities = tuple(sorted(learned.widths))
    function = Logits(learned.method, modalities).eval()
    tensors = inputs(samples, learned)
    names = [name for m in modalities for name in (m, f"{m}{PRESENT}")]
    rows = torch.export.Dim("rows")
    with _quiet():
        program = torch.onnx.export(
            function, tuple(each[:2].repeat_interleave(2, 0)[:2] for each in tensors), input_names=names,
            output_names=["logits"], dynamic_shapes=(tuple({0: rows} for _ in tensors),), dynamo=True, verbose=False,
        )  # fmt: skip
        wanted = function(*tensors)
    assert program is not None
    program.save(str(path))
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {name: each.numpy() for name, each in zip(names, tensors, strict=True)})
    off = difference(torch.from_numpy(found), wanted)
    if not off <= TOLERANCE * max(1.0, float(wanted[_told(wanted)].abs().amax())):
        raise StateError(f"{path} gives logits that differ by up to {off:.2g} from the model's")
    return Checked(len(samples), off)


def difference(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference of a logit; infinity where another class than before was never seen."""
    told = _told(wanted)
    return float((found - wanted)[told].abs().amax()) if torch.equal(told, _told(found)) else float("inf")


def _told(logits: Tensor) -> Tensor:
    """Return where a logit says something: a class of which no sample was seen has the lowest number there is."""
    return logits > torch.finfo(logits.dtype).min


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Keep back what the exporter says of its own parts."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def inputs(samples: Samples, learned: Learned) -> list[Tensor]:
    """Return the inputs for encoded samples: vectors (N, d) and presence (N,), modality by modality."""
    batch = samples.batch(torch.arange(len(samples)))
    found = []
    for modality in sorted(learned.widths):
        there = batch.has(modality)
        values = batch.values.get(modality)
        vectors = torch.zeros(len(samples), learned.widths[modality]) if values is None else values[:, 0].float()
        found += [vectors, there.clone()]
    return found
