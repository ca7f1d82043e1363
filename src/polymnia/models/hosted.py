"""What families over a frozen host share: the host, and deltas beside its linear layers, which are what is learned."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from polymnia.config import part
from polymnia.data.stage import Outline
from polymnia.hosts.base import HOSTS, Host
from polymnia.hosts.causal import Causal
from polymnia.layers.deltas.base import DELTAS, Asked, Delta
from polymnia.models.base import Model


class Hosted(Model):
    """Base of families over a host; their settings have `host`, `delta` and `places`.

    The host is frozen and shared by all copies; nothing of it is saved with a model.
    """

    def __init__(self, settings: Any, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.deltas = nn.ModuleDict()
        self.asked = Asked()
        self.host: Causal | None = None

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
        """Return the deltas' own losses, each the mean over the places."""
        found: dict[str, list[Tensor]] = {}
        for delta in self.deltas.values():
            assert isinstance(delta, Delta)
            for name, loss in delta.losses().items() if self.training else ():
                found.setdefault(name, []).append(loss)
        return {name: torch.stack(losses).mean() for name, losses in found.items()}


def host(settings: Any) -> Host:
    """Return the host that a family's settings name."""
    kind, own = part(HOSTS, settings.host, "model.host")
    made: Host = kind(own)
    return made
