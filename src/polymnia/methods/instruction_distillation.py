"""Instruction-based distillation: on texts alone the model goes on as it did; a part of its own, for any method."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polymnia.data.samples import shortened
from polymnia.errors import SettingsError
from polymnia.hosts.texts import padded
from polymnia.losses.token_distillation import over_tokens
from polymnia.models.hosted import host


def instructions(model: Any, file: str | None = None) -> list[str]:
    """Return the pool: a file's lines, or the host's instructions.

    Raises
    ------
    SettingsError
        The file cannot be read, or has no line.
    """
    if file is None:
        return host(model.settings).instructions()
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"method.instructions_file: {file} cannot be read as text: {error}") from None
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise SettingsError(f"method.instructions_file: {file} is empty; one instruction a line is needed")
    return texts


class Instructions:
    """A pool of instructions as ids, tokenised once.

    Parameters
    ----------
    model : Model
        A language model.
    texts : sequence of str
        At least one.
    """

    def __init__(self, model: Any, texts: Sequence[str]) -> None:
        tokeniser, most = model.loaded.tokeniser, model.settings.prompt_tokens
        self.ids = padded([tokeniser.prompt(text, most=most) for text in texts])

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the ids (count, L) of instructions drawn with replacement, -1 behind each end."""
        return shortened(self.ids[torch.randint(len(self.ids), (count,), generator=generator)])


def instruction_loss(student: Any, teacher: Any, ids: Tensor, *, temperature: float = 5.0) -> Tensor:
    """Return how far the student's next-token distributions on texts are from the teacher's, over all their tokens.

    There is nothing to be seen or heard in it, so the gradient reaches what all modalities share and no bridge.

    Parameters
    ----------
    student, teacher : Model
        Language models over one host; no gradient reaches the teacher.
    ids : Tensor
        (B, L), -1 behind each end.
    temperature : float
        Of both distributions.

    Source: Pian et al. 2024 (MoInCL), IKD, as released; there padding takes part in the mean.
    """
    with torch.no_grad(), teacher.evaluating():
        wanted = teacher.continued(ids)
    return over_tokens(student.continued(ids), wanted, temperature=temperature)
