"""Frozen layers of all modalities side by side, in blocks, with an adapter beside each block."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from polymnia.config import Named, part
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.encoders.trunk import Trunk
from polymnia.layers.adapters.base import ADAPTERS, Adapter
from polymnia.layers.projectors import masked_mean
from polymnia.layers.prompts.base import PROMPTS, Prompts
from polymnia.registry import Registry


class Layout:
    """Which layers of which modality stand in which block.

    B blocks, as many as the shallowest encoder has layers; each encoder's layers are spread evenly over them. An
    encoder without layers stands in the last block only, where the others' tokens are as far as its own.

    Parameters
    ----------
    depths : Mapping
        Modality → number of layers.

    Source: Chee et al. 2025, the blocks of their MMEncoder; how "evenly" rounds is left open there.

    Examples
    --------
    >>> layout = Layout({"a": 2, "b": 3, "c": 6, "d": 0})
    >>> layout.blocks, [layout.layers("b", at) for at in (0, 1)], [layout.layers("d", at) for at in (0, 1)]
    (2, [range(0, 1), range(1, 3)], [None, range(0, 0)])
    """

    def __init__(self, depths: Mapping[str, int]) -> None:
        self.depths = dict(depths)
        self.blocks = min((depth for depth in depths.values() if depth), default=1)

    def layers(self, modality: str, block: int) -> range | None:
        """Return the layers of a modality in a block; None where it has no part in the block."""
        if not self.depths[modality]:
            return range(0) if block == self.blocks - 1 else None
        return range(self.until(modality, block), self.until(modality, block + 1))

    def until(self, modality: str, block: int) -> int:
        """Return how many layers of a modality stand before a block."""
        return block * self.depths[modality] // self.blocks


def cuts(depths: Mapping[str, int], last: int | None) -> dict[str, int]:
    """Return modality → the first layer of the last so many blocks; what lies before can be computed once.

    Examples
    --------
    >>> cuts({"a": 2, "b": 3, "c": 6, "d": 0}, last=1)
    {'a': 1, 'b': 1, 'c': 3, 'd': 0}
    """
    layout = Layout(depths)
    before = 0 if last is None else max(layout.blocks - last, 0)
    return {m: layout.until(m, before) for m in depths}


class MultimodalEncoder(nn.Module):
    """Tokens below the cuts → tokens of the adapted encoders.

    In each block, ``X_m ← Layers_m(X_m) + Adapter(X)_m``: the adapter stands beside the layers and reads the
    block's input. Prompts are put before X_m for the layers, and taken off behind them; adapters do not see them.

    Parameters
    ----------
    layout : Layout
        Of the modalities' layers.
    trunks : Mapping
        Modality → frozen layers from the layout's cut on.
    adapter, prompts : Mapping or None
        Name and settings of the adapter of each block, and of the prompts of all.

    Source: Chee et al. 2025; that the adapter is parallel and zero at start is left open there.
    """

    def __init__(
        self,
        layout: Layout,
        trunks: Mapping[str, Trunk],
        *,
        adapter: Named | None,
        prompts: Named | None,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.trunks = dict(trunks)
        self.adapters: list[Adapter] = [_made(ADAPTERS, adapter) for _ in range(layout.blocks)] if adapter else []
        self.prompts: Prompts | None = _made(PROMPTS, prompts) if prompts else None
        self.frozen_parts, self.blocks = nn.ModuleDict(self.trunks), nn.ModuleList(self.adapters)  # for torch to know

    def grow(self, stage: Outline) -> None:
        """Make room for a stage in every adapter and in the prompts."""
        layout, stage = self.layout, self.inside(stage)
        known = [m for m in stage.modalities if m in layout.depths]
        for block, adapter in enumerate(self.adapters):
            adapter.grow(stage, [m for m in known if layout.layers(m, block) is not None])
        if self.prompts is not None:
            self.prompts.grow(stage, [m for m in known if layout.depths[m]], blocks=layout.blocks)

    def inside(self, stage: Outline) -> Outline:
        """Return the outline with the widths that tokens have inside, where no encoder has gone ahead."""
        doubled = {m for m, trunk in self.trunks.items() if trunk.ahead}
        return replace(stage, widths={m: w // 2 if m in doubled else w for m, w in stage.widths.items()})

    def forward(self, batch: Batch) -> tuple[Batch, list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return the batch with the last block's tokens, each block's tokens (B, T, d), and the prompts' losses."""
        prompts: Sequence[Mapping[str, Tensor]] = [{}] * self.layout.blocks
        losses: dict[str, Tensor] = {}
        if self.prompts is not None:
            query = {m: v for m, v in self.frozen(batch).items() if self.layout.depths[m]}
            prompts, losses = self.prompts(query)
        outputs: list[dict[str, Tensor]] = []
        batch, done = self._parted(batch)
        for block, before in enumerate(prompts):
            batch = self._block(block, batch, before, {} if block else done)
            outputs.append({m: batch.values[m] for m in self._members(batch, block)})
        return self._finished(batch), outputs, losses

    def entering(self, batch: Batch) -> list[Batch]:
        """Return each block's input, for its adapter: only the modalities that have a part in it; no gradients."""
        inputs = []
        with torch.no_grad():
            batch, done = self._parted(batch)
            for block in range(self.layout.blocks):
                inputs.append(batch.only(self._members(batch, block)))
                batch = self._block(block, batch, {}, {} if block else done)
        return inputs

    @torch.no_grad()
    def frozen(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality → (B, d), the mean of the last tokens without adapters and prompts; zero where missing."""
        batch, done = self._parted(batch)
        for block in range(self.layout.blocks):
            ready, members = {} if block else done, self._members(batch, block)
            values = {m: ready[m] if m in ready else self._layers(m, block, batch, None) for m in members}
            batch = replace(batch, values={**batch.values, **values})
        batch = self._finished(batch)
        means = {m: masked_mean(v, batch.valid.get(m)) for m, v in batch.values.items()}
        return {m: mean if (p := batch.present.get(m)) is None else mean * p[:, None] for m, mean in means.items()}

    def _block(self, block: int, batch: Batch, prompts: Mapping[str, Tensor], ready: Mapping[str, Tensor]) -> Batch:
        """Return the batch behind a block; `ready` is what its layers give without prompts, where that is known."""
        members = self._members(batch, block)
        values = {
            m: ready[m] if m in ready and prompts.get(m) is None else self._layers(m, block, batch, prompts.get(m))
            for m in members
        }
        if self.adapters:
            for m, added in self.adapters[block](batch.only(members)).items():
                values[m] = values[m] + added
        return replace(batch, values={**batch.values, **values})

    def _parted(self, batch: Batch) -> tuple[Batch, dict[str, Tensor]]:
        """Return the batch of the states at the cuts, and what the first block's layers make of them, where known."""
        parted = {m: self.trunks[m].parted(v) for m, v in batch.values.items() if m in self.trunks}
        states = {m: before for m, (before, _) in parted.items()}
        return replace(batch, values=states), {m: after for m, (_, after) in parted.items() if after is not None}

    def _layers(self, modality: str, block: int, batch: Batch, prompts: Tensor | None) -> Tensor:
        tokens, valid = batch.values[modality], batch.valid.get(modality)
        if valid is not None:  # attention over nothing is not a number; what a missing value becomes is not used
            valid = valid | ~valid.any(1, keepdim=True)
        before = 0 if prompts is None else prompts.shape[1]
        if prompts is not None:
            tokens = torch.cat([prompts.to(tokens), tokens], 1)
            valid = None if valid is None else torch.cat([valid.new_ones(len(valid), before), valid], 1)
        for layer in self.layout.layers(modality, block) or ():
            tokens = self.trunks[modality].layer(layer, tokens, valid)
        return tokens[:, before:]

    def _members(self, batch: Batch, block: int) -> list[str]:
        return [m for m in batch.modalities if m in self.trunks and self.layout.layers(m, block) is not None]

    def _finished(self, batch: Batch) -> Batch:
        return replace(batch, values={m: self.trunks[m].finish(v) for m, v in batch.values.items() if m in self.trunks})


def _made(registry: Registry[Any], given: Named) -> Any:
    kind, settings = part(registry, given, f"model.{registry.kind}")
    return kind(settings)
