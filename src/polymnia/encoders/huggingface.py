"""`huggingface`: any vision, audio, text or video network of transformers, by name or folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any, Literal

import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.encoders.base import register
from polymnia.encoders.checkpoint import TOWERS, Checkpoint
from polymnia.encoders.groups import by_shape
from polymnia.encoders.layered import Layered
from polymnia.encoders.preparing import Prepare, preparing, said
from polymnia.encoders.quiet import quiet
from polymnia.encoders.transformer_trunk import Layout, TransformerTrunk, layout_of, states_before
from polymnia.encoders.trunk import Trunk
from polymnia.encoders.weights import fingerprint, initialising
from polymnia.encoders.whisper import heard, whisper_states
from polymnia.errors import SettingsError

UNUSED = {"pooler", "head", "position_ids", "masked_spec_embed", "mask_token"}
"""Weights that a checkpoint may lack, because the last hidden states do not depend on them."""

TOGETHER = {"image": 4, "text": 8, "audio": 1, "video": 1}
"""Values in one pass; sounds are seldom of equal length."""


@register("huggingface")
class HuggingFace(Layered):
    """Values of one kind → the last hidden states (T, d) of a pretrained transformer, special tokens included.

    image: ViT, DeiT, DINOv2, CLIP, SigLIP and others; `[CLS]` and registers first where there are any, then patches
    row by row. A feature map (C, H, W) of a convolutional network or of Swin becomes H·W tokens.
    video: VideoMAE and others, from as many frames as the network wants, spread evenly; no special token.
    audio: wav2vec 2.0, HuBERT (50 tokens a second), AST (`[CLS]`, `[DIST]`, patches), Whisper's encoder (50 tokens a
    second; those of the silence that it pads with are left out) and CLAP, at the rate each wants. Whisper sees the
    first 30 seconds and CLAP the first 10; sound shorter than 0.05 s is followed by silence.
    text: the BERT family, CLIP, SigLIP (always padded to its full length, as it was trained), with `[CLS]`, `[SEP]` or
    their like at the ends; longer texts are cut where positions end. Of an encoder-decoder the encoder is used.

    A model can put something between the layers (`depth`, `cut`) of ViT, DeiT, DINOv2, ViViT, VideoMAE, AST, CLIP,
    SigLIP, Whisper, wav2vec 2.0, HuBERT, the BERT family, MPNet and CLAP's text tower. Below a cut, a padded Whisper
    keeps the tokens of the silence, because the layers above look at them; with `pad=False` there are none.

    Code that comes with a checkpoint is never run (`trust_remote_code` is always off). A checkpoint that is on this
    machine is used without asking the network.
    """

    kind = "any"
    card = Card(
        title="A pretrained network of the Hugging Face hub or from a folder",
        licence="the checkpoint's own",
        citation="T. Wolf et al. (2020). Transformers: state-of-the-art natural language processing. EMNLP. "
        "And the checkpoint's own.",
        homepage="https://huggingface.co/models",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which checkpoint, and what is taken from it."""

        path: str
        """A folder, or a name such as "facebook/dinov2-small"."""
        kind: Literal["image", "audio", "text", "video"] | None = None
        """Needed where a checkpoint has several towers (CLIP, SigLIP, CLAP)."""
        revision: str | None = None
        """Branch, tag or commit of a name."""
        layer: int | None = None
        """Take the states after this layer (0: before the first, -1: after the last) instead of the final ones, which
        may be normalised."""
        dtype: Literal["float32", "bfloat16", "float16"] = "float32"
        """What it computes in."""
        device: str = "cpu"
        """Where it computes."""
        pad: bool = True
        """Whisper alone: fill sound up to 30 seconds, as it was trained; without it short sounds cost little."""

    def __init__(self, settings: Any = None) -> None:
        if settings is None:
            raise SettingsError("encoder 'huggingface' needs `path`: a folder, or a name such as 'openai/whisper-base'")
        super().__init__(settings)
        self._checkpoint = Checkpoint(settings.path, settings.revision)
        self.kind = self._checkpoint.kind(settings.kind)
        if not settings.pad and not self._is_whisper:
            raise SettingsError(f"pad: False is for Whisper; {settings.path} is a {self._checkpoint.type}")

    @property
    def width(self) -> int:
        """The width of the tower's states."""
        config = self._tower_config
        named = (getattr(config, name, None) for name in ("hidden_size", "d_model", "dim", "n_embd", "hidden_sizes"))
        found = next((value for value in named if value), 0)
        return found[-1] if isinstance(found, list | tuple) else found

    @cached_property
    def fingerprint(self) -> str:
        """Digest of weights, configuration and processor files, of the settings, and of transformers' major version."""
        s = self.settings
        prepared = {"version": 1, "kind": self.kind, "layer": s.layer, "dtype": s.dtype}
        if s.layer is not None:
            prepared["version"] = 2  # never normalised after the last layer; some networks of transformers did
        if not s.pad:
            prepared["pad"] = False
        prepared["transformers"] = version("transformers").split(".")[0]
        return fingerprint(self.name, prepared, self._checkpoint.files)

    @property
    def depth(self) -> int:
        """Layers of the tower (up to `layer`, where it is set), or 0 where they cannot be had one at a time."""
        if self._layout is None:
            return 0
        return self._count if self._last is None else self._last

    @torch.inference_mode()
    def states(self, values: Sequence[Array | str], layer: int | None) -> list[Tensor]:
        """Return tokens (T_i, d) of values, or their states before a layer; only inputs of equal shape go together."""
        inputs = [self._prepare(value) for value in values]
        results = by_shape(inputs, partial(self._states, layer), size=TOGETHER[self.kind])
        if not self._is_whisper or not self.settings.pad or layer is not None:
            return results
        return [heard(tokens, value) for tokens, value in zip(results, values, strict=True)]

    def trunk(self, layer: int) -> Trunk:
        """Return the tower's layers from `layer` on."""
        assert self._layout is not None  # `cut` asks only where there is depth
        return TransformerTrunk(self._network, self._layout, first=layer, last=self._last)

    def _states(self, layer: int | None, /, **inputs: Tensor) -> Tensor:
        network, wanted = self._network, self.settings.layer
        if layer is None and self._layout is not None:
            layer = self._last
        weight = next(network.parameters())  # a model that shares the network may have moved it
        placed = {
            name: value.to(weight.device, weight.dtype) if value.is_floating_point() else value.to(weight.device)
            for name, value in inputs.items()
        }
        if not self.settings.pad:
            states = whisper_states(network, layer)(**placed)
        elif layer is not None:
            states = states_before(network, layer, lambda: network(**placed, return_dict=True))
        else:
            made = network(**placed, return_dict=True, output_hidden_states=wanted is not None)
            states = made.last_hidden_state if wanted is None else self._layer(made.hidden_states, wanted)
        if states.ndim == 4:  # (B, C, H, W)
            states = states.flatten(2).transpose(1, 2)
        return states.float().cpu()

    @property
    def _is_whisper(self) -> bool:
        return self._checkpoint.type == "whisper"

    @property
    def _layout(self) -> Layout | None:
        return layout_of(self._tower_config)

    @property
    def _count(self) -> int:
        return int(self._tower_config.num_hidden_layers)

    @property
    def _last(self) -> int | None:
        """The layer before which `layer` stops, or None where all are run, and the last normalisation after them."""
        layer = self.settings.layer
        if layer is None:
            return None
        if not -self._count - 1 <= layer <= self._count:
            raise SettingsError(f"layer: {layer} is given, and {self.settings.path} has 0 to {self._count}")
        return layer % (self._count + 1)

    def _layer(self, states: Sequence[Tensor], layer: int) -> Tensor:
        if not -len(states) <= layer < len(states):
            raise SettingsError(f"layer: {layer} is given, and {self.settings.path} has 0 to {len(states) - 1}")
        return states[layer]

    @cached_property
    def _prepare(self) -> Prepare:
        with quiet():
            return preparing(self._checkpoint, self.kind, self._tower_config, pad=self.settings.pad)

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        with quiet(), said(f"{self.settings.path} cannot be loaded"):
            return AutoConfig.from_pretrained(
                str(self._checkpoint.folder), local_files_only=True, trust_remote_code=False
            )

    @property
    def _tower_config(self) -> Any:
        towers = self._checkpoint.towers
        return getattr(self._config, f"{TOWERS[self.kind]}_config") if len(towers) > 1 else self._config

    @cached_property
    def _network(self) -> Any:
        """The tower, in evaluation mode, with every weight found."""
        from transformers import AutoModel

        with quiet(), initialising(), said(f"{self.settings.path} cannot be loaded"), torch.inference_mode(False):
            model, info = AutoModel.from_pretrained(
                str(self._checkpoint.folder), config=self._config, local_files_only=True, trust_remote_code=False,
                output_loading_info=True,
            )  # fmt: skip
        prefix, tower = self._tower(model)
        lacking = [
            name
            for name in sorted(info["missing_keys"])
            if name.startswith(prefix) and not UNUSED.intersection(name.split("."))
        ]
        if lacking:
            raise SettingsError(
                f"{self.settings.path} lacks {len(lacking)} weights of its {self.kind} network "
                f"({self._checkpoint.type}), first {lacking[0]}; random ones in their place would be of no use"
            )
        return tower.to(self.settings.device, getattr(torch, self.settings.dtype)).eval().requires_grad_(False)

    def _tower(self, model: Any) -> tuple[str, Any]:
        """Return the part that encodes this kind, and what the names of its weights begin with."""
        if len(self._checkpoint.towers) > 1:
            name = f"{TOWERS[self.kind]}_model"
            return f"{name}.", getattr(model, name)
        return ("encoder.", model.get_encoder()) if self._config.is_encoder_decoder else ("", model)
