"""What families over a frozen host share: the host, deltas beside its layers, and prompts before what it reads."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from polymnia.config import part, whole
from polymnia.data.stage import Outline, Stream
from polymnia.hosts.base import HOSTS, Host
from polymnia.hosts.causal import Causal
from polymnia.hosts.texts import tokenised
from polymnia.layers.deltas.base import DELTAS, Asked, Delta
from polymnia.layers.projectors import masked_mean
from polymnia.layers.prompts.base import PROMPTS, Prompts
from polymnia.models.base import Model

ASKED, SEEN = "asked", "seen"
"""By what prompts are chosen: the question's embedded tokens, and those of pictures that are read; their means."""


class Hosted(Model):
    """Base of families over a host.

    Their settings have `host`, `delta`, `places` and `prompts`, and how texts become ids: `templates`, `prompt_tokens`
    and `answer_tokens`.

    The host is frozen and shared by all copies; nothing of it is saved with a model.
    """

    queries: Sequence[str] = (ASKED,)
    """By what its prompts are chosen, of what the host embeds without anything learned."""

    def __init__(self, settings: Any = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.deltas = nn.ModuleDict()
        self.prompts: Prompts | None = None
        self._of_prompts: dict[str, Tensor] = {}
        self.asked = Asked()
        self.host: Causal | None = None

    @classmethod
    def settled(cls, settings: Any) -> Any:
        """Return settings with those of the host, the delta and the prompts in full."""
        return replace(
            settings,
            host=whole(HOSTS, settings.host, "model.host"),
            delta=whole(DELTAS, settings.delta, "model.delta"),
            prompts=whole(PROMPTS, settings.prompts, "model.prompts"),
        )

    @classmethod
    def wants(cls, settings: Any) -> list[Any]:
        """Return the host and the limits, by which texts become ids."""
        limits = [settings.prompt_tokens, settings.answer_tokens, settings.templates]
        return [whole(HOSTS, settings.host, "model.host"), *limits]

    @classmethod
    def ready(cls, stream: Stream, settings: Any) -> Stream:
        """Return an encoded stream with the ids of its samples' texts."""
        return tokenised(
            stream,
            host(settings).tokeniser(),
            prompt_tokens=settings.prompt_tokens,
            answer_tokens=settings.answer_tokens,
            templates=settings.templates,
        )

    def blank(self) -> Self:
        """Return a model like this one that has not grown yet; it shares the host."""
        twin = super().blank()
        twin.host = self.host
        return twin

    @property
    def loaded(self) -> Causal:
        """The host; it is loaded when it is first asked for."""
        if self.host is None:
            self.host = host(self.settings).load()
        return self.host

    def grow_deltas(self, stage: Outline) -> None:
        """Add deltas where there are none yet, and let each add what the stage needs."""
        if self.settings.delta is None:
            return
        for name, layer in self.loaded.places(self.settings.places).items():
            key = name.replace(".", "/")  # torch allows no dot in a name
            if key not in self.deltas:
                kind, own = part(DELTAS, self.settings.delta, "model.delta")
                self.deltas[key] = kind(layer.in_features, layer.out_features, own, asked=self.asked)
            delta = self.deltas[key]
            assert isinstance(delta, Delta)
            delta.grow(stage)

    def grow_prompts(self, stage: Outline) -> None:
        """Let the prompts before the sequence, if there are to be any, make room for a stage."""
        if self.settings.prompts is None:
            return
        if self.prompts is None:
            kind, own = part(PROMPTS, self.settings.prompts, "model.prompts")
            self.prompts = kind(own)
        widths = dict.fromkeys(self.queries, self.loaded.width)
        self.prompts.grow(replace(stage.outline(), widths=widths), self.queries, blocks=1)

    def prompted(self, read: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor] | None:
        """Return what stands before the sequences, (B, P, H), and which of it is valid (B, P); None without prompts.

        Parameters
        ----------
        read : Mapping
            "asked" or "seen" → embedded tokens (B, T, H) that nothing learned has touched, and which are valid (B, T).
            The mean of them is the query; where none is valid there are no prompts of that name.

        The queries are means of embedded tokens, where the papers' are a frozen network's last states: they cost no
        second pass.
        """
        if self.prompts is None:
            return None
        query = {name: masked_mean(tokens.detach(), valid) for name, (tokens, valid) in sorted(read.items())}
        (placed,), losses = self.prompts(query)
        self._of_prompts = losses if self.training else {}
        found = [(tokens, read[name][1].any(1)) for name, tokens in sorted(placed.items())]
        tokens = torch.cat([each for each, _ in found], 1)
        return tokens, torch.cat([there[:, None].expand(-1, each.shape[1]) for each, there in found], 1)

    @contextmanager
    def carried(self) -> Generator[None, None, None]:
        """Let the host carry the deltas inside a block, and tell them the tokens' places."""
        beside = {}
        for key, delta in self.deltas.items():
            assert isinstance(delta, Delta)
            if not delta.merged:
                beside[key.replace("/", ".")] = delta

        def place(body: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            self.asked.places = named.get("position_ids")

        hook = self.loaded.body.register_forward_pre_hook(place, with_kwargs=True)
        try:
            with self.loaded.carrying(beside):
                yield
        finally:
            hook.remove()
            self.asked.places = None

    def own_losses(self) -> dict[str, Tensor]:
        """Return the deltas' own losses, each the mean over the places, and the prompts'."""
        of_prompts, self._of_prompts = self._of_prompts, {}
        found: dict[str, list[Tensor]] = {}
        for delta in self.deltas.values():
            assert isinstance(delta, Delta)
            for name, loss in delta.losses().items() if self.training else ():
                found.setdefault(name, []).append(loss)
        return {name: torch.stack(losses).mean() for name, losses in found.items()} | of_prompts


def host(settings: Any) -> Host:
    """Return the host that a family's settings name."""
    kind, own = part(HOSTS, settings.host, "model.host")
    made: Host = kind(own)
    return made
