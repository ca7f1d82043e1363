"""`skill`: whether the language model can still do, by text alone, what it could before anything was learned."""

from types import MappingProxyType
from typing import Any, ClassVar

import torch

from polymnia.config import part
from polymnia.data.batch import Batch
from polymnia.data.stage import Stage, Stream
from polymnia.data.wording import plain
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.hosts.base import HOSTS
from polymnia.hosts.causal import Causal, Decoding
from polymnia.hosts.texts import PROMPT, padded
from polymnia.layers.bridge import packed
from polymnia.methods.base import Method

AT_ONCE = 256


@register("skill")
class Skill(Probe):
    """Exact match on the host's own quiz, asked without any picture or sound.

    `text skill`: of the host with all that was learned beside it, after each stage. `before`: of the host alone. Both
    are shares of the quiz's prompts whose answer, in small letters and without punctuation, is the right one. Nothing
    is measured where a model writes no texts, or its host has no quiz.

    What distillation on instructions is meant to keep (Pian et al. 2024); the measure is ours.
    """

    each = True
    state: ClassVar[tuple[str, ...]] = ("before",)
    held = MappingProxyType({"text skill": "before"})

    def __init__(self) -> None:
        self.before: float | None = None
        """The host's skill, once it is measured: nothing changes it."""

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return the shares of right answers."""
        quiz = _quiz(method)
        if not quiz:
            return {}
        model: Any = method.model
        loaded: Causal = model.loaded
        prompts, wanted = [loaded.tokeniser.prompt(prompt) for prompt, _ in quiz], [plain(right) for _, right in quiz]
        parts = [padded(prompts[at : at + AT_ONCE]).to(method.device) for at in range(0, len(prompts), AT_ONCE)]
        if self.before is None:
            self.before = _right([text for ids in parts for text in alone(loaded, ids, model.decoding)], wanted)
        asked = [Batch({}, ids.new_full((len(ids),), -1), columns={PROMPT: ids}) for ids in parts]
        return {
            "text skill": _right([text for batch in asked for text in method.answer(batch)], wanted),
            "before": self.before,
        }


def _quiz(method: Method) -> list[tuple[str, str]]:
    """Return the quiz of the host of a method's model, empty where there is none."""
    settings: Any = method.model.settings
    if "text" not in method.model.provides or not hasattr(settings, "host"):
        return []
    kind, own = part(HOSTS, settings.host, "model.host")
    found: list[tuple[str, str]] = kind(own).quiz()
    return found


@torch.inference_mode()
def alone(loaded: Causal, ids: torch.Tensor, decoding: Decoding) -> list[str]:
    """Return what a host writes after prompts (B, L), -1 behind each end, with nothing carried."""
    with loaded.carrying({}):
        written = loaded.write(*packed(loaded.embed(ids), ids >= 0, behind=False), decoding)
    return [loaded.tokeniser.text(row) for row in written.tolist()]


def _right(written: list[str], wanted: list[str]) -> float:
    return sum(plain(text) == right for text, right in zip(written, wanted, strict=True)) / len(wanted)
