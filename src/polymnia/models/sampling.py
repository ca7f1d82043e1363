"""Pictures drawn token by token."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polymnia.errors import SettingsError
from polymnia.hosts.unified import Following, Unified


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a code is chosen."""

    temperature: float = 1.0
    """0: always the likeliest."""
    top: int | None = None
    """Among so many of the likeliest; none: among all."""
    guidance: float = 1.0
    """By how much what was asked for counts against what would be drawn unasked; 1: that is not looked at."""

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise SettingsError(f"model.drawing.temperature: {self.temperature} is given; at least 0 is accepted")
        if self.top is not None and self.top < 1:
            raise SettingsError(f"model.drawing.top: {self.top} is given; at least 1, or null, is accepted")


def drawn(host: Unified, begun: Sequence[Following], *, settings: Sampling, random: torch.Generator) -> Tensor:
    """Return codes (B, T) of whole pictures.

    Parameters
    ----------
    host : Unified
        It carries what was learned.
    begun : sequence of Following
        What has read the prompts up to the opening mark; with guidance, behind it what has read none.
    settings : Sampling
        How.
    random : torch.Generator
        On the CPU.

    Source: Ho and Salimans 2022 (classifier-free guidance), on logits as in Janus: ``u + guidance · (c − u)``.
    """
    codes: list[Tensor] = []
    for _ in range(host.length):
        logits = [host.code_logits(following.state).float() for following in begun]
        asked = logits[0] if len(logits) == 1 else torch.lerp(logits[1], logits[0], settings.guidance)
        codes.append(chosen(asked, settings, random))
        if len(codes) < host.length:
            for following in begun:
                following.go_on(host.embed_codes(codes[-1][:, None]))
    return torch.stack(codes, 1)


def chosen(logits: Tensor, settings: Sampling, random: torch.Generator) -> Tensor:
    """Return a code (B,) for each row of logits (B, K)."""
    if settings.temperature == 0:
        return logits.argmax(-1)
    if settings.top is not None and settings.top < logits.shape[-1]:
        least = logits.topk(settings.top, -1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    shares = (logits / settings.temperature).softmax(-1).cpu()
    return torch.multinomial(shares, 1, generator=random)[:, 0].to(logits.device)
