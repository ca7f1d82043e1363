"""The layers of a network of `transformers`: where they are, how they are called, and what comes after the last."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

from torch import Tensor, nn

from polymnia.encoders.layered import additive, seen_by, unpadded
from polymnia.encoders.trunk import Frozen, Trunk
from polymnia.errors import SettingsError

STACKS = ("layers", "encoder.layers", "encoder.layer", "transformer.layer")
"""Where a tower keeps its layers."""


@dataclass(frozen=True)
class Layout:
    """How one family's layers are run."""

    norm: str | None = None
    """Where the normalisation is that comes after the last layer."""
    mask: Literal["mutual", "causal", "bias", "none"] = "mutual"
    """Which mask a layer takes. "bias": with the relative positions' bias beside it; "none": it takes no mask."""


LAYOUTS: dict[str, Layout] = {
    **dict.fromkeys(("vit", "deit", "dinov2", "dinov2_with_registers", "vivit"), Layout("layernorm")),
    "audio-spectrogram-transformer": Layout("layernorm"),
    "videomae": Layout("layernorm", "none"),
    "clip_vision_model": Layout(),  # its last normalisation is for the pooled vector alone
    "clip_text_model": Layout("final_layer_norm", "causal"),
    "siglip_vision_model": Layout("post_layernorm"),
    "siglip_text_model": Layout("final_layer_norm"),
    "whisper": Layout("layer_norm"),
    **dict.fromkeys(("wav2vec2", "hubert"), Layout("encoder.layer_norm")),
    **dict.fromkeys(("bert", "distilbert", "roberta", "xlm-roberta", "camembert", "electra"), Layout()),
    "clap_text_model": Layout(),
    "mpnet": Layout(mask="bias"),
}
"""Model type → its layout. Others have no uniform layers (Swin, ConvNeXt, CLAP's audio tower), or layers that depend
on the number of tokens (BEiT, TimeSformer) or on one another (WavLM): depth 0."""


def layout_of(config: Any) -> Layout | None:
    """Return the layout of a tower by its configuration, or None where there are no layers to be had."""
    layout = LAYOUTS.get(config.model_type)
    if layout is None or getattr(config, "add_adapter", False):
        return None
    if config.model_type in ("wav2vec2", "hubert") and not config.do_stable_layer_norm:
        return Layout()  # it normalises before the first layer, with a module of the same name
    return layout


def stack(network: nn.Module) -> nn.ModuleList:
    """Return a tower's layers.

    Raises
    ------
    SettingsError
        They are not where they are in the versions of transformers that were tried.
    """
    for path in STACKS:
        found = _at(network, path)
        if isinstance(found, nn.ModuleList):
            return found
    raise SettingsError(f"the layers of {type(network).__name__} were not found in this version of transformers")


def _at(module: Any, path: str) -> Any:
    return reduce(lambda part, name: getattr(part, name, None), path.split("."), module)


class TransformerTrunk(Trunk):
    """The layers of a frozen tower of `transformers` from one on.

    Parameters
    ----------
    network : nn.Module
        The tower; it is shared, never copied.
    layout : Layout
        How its layers are run.
    first : int
        The first layer that is run.
    last : int, optional
        Stop before this layer, and do not normalise; by default all are run, and the last normalisation.
    """

    def __init__(self, network: nn.Module, layout: Layout, *, first: int = 0, last: int | None = None) -> None:
        super().__init__()
        self.frozen, self.layout, self.first, self.last = Frozen(network), layout, first, last
        self.depth = (len(stack(network)) if last is None else last) - first

    def layer(self, index: int, tokens: Tensor, valid: Tensor | None) -> Tensor:
        """Return what layer `index` makes of tokens (B, T, d); `valid` is (B, T) bool."""
        if not 0 <= index < self.depth:
            return super().layer(index, tokens, valid)
        if not tokens.numel():  # a batch in which nobody has this modality; some layers cannot shape nothing
            return tokens
        network, layout = self.frozen.network, self.layout
        module = stack(network)[self.first + index]
        states = tokens.to(next(module.parameters()).dtype)
        if layout.mask == "none":
            return _states(unpadded(lambda part: _states(module(part)), states, valid)).to(tokens.dtype)
        seen = seen_by(states, valid, causal=layout.mask == "causal")
        by_sum = layout.mask == "bias" or network.config._attn_implementation != "sdpa"
        mask = additive(seen, states.dtype) if by_sum else seen
        named = {"position_bias": network.encoder.compute_position_bias(states)} if layout.mask == "bias" else {}
        return _states(module(states, attention_mask=mask, **named)).to(tokens.dtype)

    def finish(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, T, d) after the last normalisation, if there is one."""
        norm = _at(self.frozen.network, self.layout.norm) if self.layout.norm and self.last is None else None
        return tokens if norm is None else norm(tokens.to(next(norm.parameters()).dtype)).to(tokens.dtype)


def _states(made: Any) -> Tensor:
    return made[0] if isinstance(made, tuple) else made


class _Reached(Exception):
    """The layer whose states are wanted is reached; what is above need not be computed."""


def states_before(network: nn.Module, layer: int, run: Callable[[], Any]) -> Tensor:
    """Return the states (B, T, d) that enter a layer of the network while `run` runs it.

    At the number of layers these are the states after the last, before any normalisation.
    """
    layers, held = stack(network), []

    def reached(states: Any) -> None:
        held.append(_states(states))
        raise _Reached

    if layer < len(layers):
        handle = layers[layer].register_forward_pre_hook(
            lambda module, args, named: reached(args[0] if args else named["hidden_states"]), with_kwargs=True
        )
    else:
        handle = layers[-1].register_forward_hook(lambda module, args, made: reached(made))
    try:
        run()
    except _Reached:
        pass
    finally:
        handle.remove()
    return held[0]
