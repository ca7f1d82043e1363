"""Chameleon's tokeniser of pictures, and the decoder of it that transformers has not, where its weights are there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polymnia.errors import SettingsError
from polymnia.hosts.pictures import PictureTokeniser

DECODER, AFTER = "decoder.", "post_quant_conv."


class ChameleonPictures(PictureTokeniser):
    """Pictures to codes and back by Chameleon's vector-quantised autoencoder, in the scale of its own processor.

    Parameters
    ----------
    vq : nn.Module
        `ChameleonVQVAE` of transformers, which encodes.
    weights : mapping
        Of the decoder, as `decoder_weights` gives them; none: it cannot decode.
    origin : str
        Where they come from, for messages.

    Source: Gafni et al. 2022 (Make-A-Scene); Chameleon Team 2024, section 2.1.
    """

    def __init__(self, vq: Any, weights: Mapping[str, Tensor], *, origin: str) -> None:
        super().__init__()
        config = vq.config
        self.vq, self.origin = vq, origin
        self.side, self.codes = int(config.resolution), int(config.num_embeddings)
        self.grid = self.side >> (len(config.channel_multiplier) - 1)
        self.length = self.grid**2
        self.decoder: nn.Module | None = None
        if weights:
            self.decoder = decoder(config)
            loading(self.decoder, kept(weights, DECODER), origin)
            loading(vq.post_quant_conv, kept(weights, AFTER), origin)

    def encode(self, pixels: Tensor) -> Tensor:
        """Return codes (B, T) of prepared pixels (B, 3, side, side)."""
        found: Tensor = self.vq.encode(pixels, return_dict=True).image_tokens
        return found.reshape(len(pixels), -1)

    def decode(self, codes: Tensor) -> Tensor:
        """Return pixels (B, 3, side, side), in the scale of the processor, of codes (B, T).

        Raises
        ------
        SettingsError
            The checkpoint has no decoder.
        """
        if self.decoder is None:
            raise SettingsError(
                f"host 'chameleon': {self.origin} has no decoder of pictures (safetensors under '…vqmodel.decoder.'), "
                "so codes cannot be made pixels; they can be drawn, and their likelihood measured. A conversion that "
                "holds one works (Anole's does), and so does model.host.decoder: a folder with one's safetensors"
            )
        grid = self.vq.quantize.embedding(codes).unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        found: Tensor = self.decoder(self.vq.post_quant_conv(grid))
        return found


def decoder(config: Any) -> nn.Module:
    """Return the decoder of an autoencoder's settings: Janus's, which is the same but for where it attends."""
    from transformers import JanusVQVAEConfig
    from transformers.models.janus.modeling_janus import JanusVQVAEAttnBlock, JanusVQVAEDecoder

    shared = ("latent_channels", "base_channels", "channel_multiplier", "num_res_blocks", "dropout")
    own = {name: getattr(config, name) for name in shared}
    made: Any = JanusVQVAEDecoder(JanusVQVAEConfig(**own, out_channels=config.in_channels))
    attends, levels = config.attn_type == "vanilla", len(config.channel_multiplier)
    if not attends:
        made.mid.attn_1 = nn.Identity()
    for halvings, up in zip(reversed(range(levels)), made.up, strict=True):
        here = attends and config.resolution >> halvings in (config.attn_resolutions or ())
        up.attn = nn.ModuleList(JanusVQVAEAttnBlock(block.out_channels) for block in up.block if here)
    return made


def decoder_weights(folder: Path, *, checkpoint: Path, levels: int) -> dict[str, Tensor]:
    """Return a decoder's weights, and those of the layer before it, from the safetensors in a folder; {} without one.

    Where a decoder comes without the layer before it, that layer is the checkpoint's.

    Conversions count `decoder.up` from the finest level, as the original does; transformers' own decoder counts from
    the coarsest, the only one without an upsampling at its end being the finest. What is returned counts so.

    Parameters
    ----------
    folder : Path
        With the decoder: the checkpoint's, or that of its autoencoder alone.
    checkpoint : Path
        The checkpoint's.
    levels : int
        How many levels the decoder has.
    """
    found = weights_under(folder, DECODER)
    if not found:
        return {}
    after = weights_under(folder, AFTER) or weights_under(checkpoint, AFTER)
    coarsest_first = levels == 1 or f"{DECODER}up.0.upsample.conv.weight" in found
    return after | (found if coarsest_first else {turned(name, levels): weight for name, weight in found.items()})


def weights_under(folder: Path, prefix: str) -> dict[str, Tensor]:
    """Return those weights of an autoencoder in a folder whose names begin so."""
    from safetensors import safe_open

    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as held:
            for name in held.keys():  # noqa: SIM118 - it is no mapping
                inside = name.rpartition("vqmodel.")[2]
                if inside.startswith(prefix):
                    found[inside] = held.get_tensor(name).float()
    return found


def turned(name: str, levels: int) -> str:
    """Return the name of a weight when levels are counted from the other end.

    Examples
    --------
    >>> turned("decoder.up.0.block.1.conv1.weight", 5), turned("decoder.conv_in.bias", 5)
    ('decoder.up.4.block.1.conv1.weight', 'decoder.conv_in.bias')
    """
    before, up, behind = name.partition(f"{DECODER}up.")
    if not up:
        return name
    level, _, rest = behind.partition(".")
    return f"{before}{up}{levels - 1 - int(level)}.{rest}"


def kept(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights under a prefix, without it."""
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def loading(module: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Give a module its weights.

    Raises
    ------
    SettingsError
        They are not all there, or of another shape.
    """
    try:
        with torch.no_grad():
            module.load_state_dict(weights)
    except RuntimeError as error:
        told = " ".join(line.strip() for line in str(error).splitlines()[1:])
        raise SettingsError(
            f"host 'chameleon': the decoder of pictures in {origin} does not fit: {told[:300]}"
        ) from None
