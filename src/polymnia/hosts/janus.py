"""`janus`: a checkpoint of Janus or Janus-Pro, which reads by a vision network and draws by codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.errors import SettingsError
from polymnia.hosts.base import register
from polymnia.hosts.preparing_pictures import PictureProcessor
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.hosts.turns import Turns
from polymnia.hosts.unified import FAR, as_tokens
from polymnia.hosts.unified_checkpoint import AnyPrecision, UnifiedCheckpoint, at_least_single, special

HERE = "{prompt}"


class Janus(AnyPrecision):
    """Janus over its own classes of transformers.

    A picture that is read is its vision network's features, through the aligner; one that is drawn is codes, with
    embeddings, aligner and head of their own. An encoded picture holds both: tokens (T, 2 + width of the features).

    Parameters
    ----------
    network : nn.Module
        `JanusForConditionalGeneration`.
    tokeniser : Tokeniser
        Its own.
    processor : PictureProcessor
        What prepares pictures for it.

    Raises
    ------
    SettingsError
        A picture has not as many features as codes.

    Source: Wu et al. 2024 (Janus), section 3; Chen et al. 2025 (Janus-Pro).
    """

    def __init__(self, network: Any, tokeniser: Tokeniser, processor: PictureProcessor) -> None:
        super().__init__(network, tokeniser)
        self.processor = processor
        self.codes, self.length = int(network.config.vq_config.num_embeddings), tokens(network.config)
        self.seen = 2 + int(network.config.vision_config.hidden_size)
        self._marks = (
            special(tokeniser, "boi_token", usual="<begin_of_image>"),
            special(tokeniser, "eoi_token", usual="<end_of_image>"),
        )

    @property
    def body(self) -> Any:
        """The language model alone."""
        return self.network.model.language_model

    @property
    def vocabulary(self) -> int:
        """How many tokens V there are."""
        return int(self.network.config.text_config.vocab_size)

    def look(self, pictures: Sequence[Array]) -> list[Tensor]:
        """Return (T, d) of each picture: its codes, and the vision network's features."""
        model, found = self.network.model, []
        with torch.inference_mode():
            for picture in pictures:
                pixels = self.processor(picture)[None].to(model.vqmodel.quant_conv.weight.device)
                features = model.vision_model(pixels, return_dict=True).last_hidden_state[0].float().cpu()
                found.append(torch.cat([as_tokens(self.encoded(pixels)[0].cpu()), features], -1))
        return found

    def encoded(self, pixels: Tensor) -> Tensor:
        """Return codes (B, T) of prepared pixels (B, 3, side, side): the nearest by direction.

        Janus's codebook is one of unit vectors, as decoding treats it; transformers' encoder compares with
        the raw rows, which is the same only where these have unit length. [X]
        """
        vq = self.network.model.vqmodel
        inside = vq.quant_conv(vq.encoder(pixels)).flatten(2).mT  # (B, T, d)
        return (inside @ normalize(vq.quantize.embedding.weight, dim=-1).T).argmax(-1)

    @torch.inference_mode()
    def pixels(self, codes: Tensor) -> Tensor:
        """Return pictures (B, side, side, 3) in uint8 of codes (B, T)."""
        return self.processor.undone(self.network.model.vqmodel.decode(codes))

    def marks(self) -> Tensor:
        """Return the embeddings (2, H) of the marks."""
        return self.embed(torch.tensor([self._marks], device=self.network.lm_head.weight.device))[0]

    def embed_codes(self, codes: Tensor) -> Tensor:
        """Return (B, T, H) of codes (B, T), as what was drawn so far is read."""
        embedded: Tensor = self.network.prepare_embeddings_for_image_generation(codes.clamp(min=0))
        return embedded

    def embed_seen(self, tokens: Tensor) -> Tensor:
        """Return (B, T, H) of encoded pictures (B, T, d) that are read: their features, aligned."""
        aligned: Tensor = self.network.model.aligner(tokens[..., 2:].to(self.precision))
        return aligned

    def logits(self, states: Tensor) -> Tensor:
        """Return (…, V) of states (…, H); no mark can be said."""
        scores = super().logits(states)
        return scores.index_fill(-1, torch.tensor(self._marks, device=scores.device), FAR)

    def code_logits(self, states: Tensor) -> Tensor:
        """Return (…, K) of states (…, H), in float32 at least."""
        return at_least_single(self.network.model.generation_head(states.to(self.precision)))


@register("janus")
class JanusHost(UnifiedCheckpoint):
    """A checkpoint of `JanusForConditionalGeneration`.

    With guidance, what is drawn unasked is drawn from an empty prompt; the released code puts padding in place of each
    token of the prompt, which makes unasked drawing depend on how long the prompt was. [X]
    """

    architecture = "JanusForConditionalGeneration"
    card = Card(
        title="Janus or Janus-Pro, from transformers",
        licence="the checkpoint's (Janus: DeepSeek Model License)",
        citation="C. Wu et al. (2024). Janus: decoupling visual encoding for unified multimodal understanding and "
        "generation. arXiv 2410.13848. X. Chen et al. (2025). Janus-Pro. arXiv 2501.17811.",
        homepage="https://huggingface.co/docs/transformers/model_doc/janus",
        get="name it: host: {name: janus, path: deepseek-community/Janus-Pro-1B, dtype: bfloat16}",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings(UnifiedCheckpoint.Settings):
        """Which one, in what precision, and how it is asked."""

        turn: str = "<|User|>: {prompt}\n\n<|Assistant|>:"
        """How a prompt is put, as Janus-Pro was taught."""

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.turn.count(HERE) != 1:
                raise SettingsError(f"model.host.turn: {self.turn!r} is given; it must hold {HERE!r} once")

    def tokeniser(self) -> Tokeniser:
        """Return the tokeniser alone."""
        plain = Tokeniser.load(self.folder())
        before, _, behind = self.settings.turn.partition(HERE)
        return Turns(plain.held, before=plain.ids(before), behind=plain.ids(behind))

    def load(self) -> Janus:
        """Return the model, frozen, on the CPU."""
        network = self.network()
        side = int(network.config.vision_config.image_size)
        return Janus(network, self.tokeniser(), PictureProcessor("JanusImageProcessorPil", self.folder(), side=side))


def tokens(config: Any) -> int:
    """Return how many tokens a picture has, by the settings of Janus.

    Raises
    ------
    SettingsError
        As features they are not as many as as codes.
    """
    vision, levels = config.vision_config, len(config.vq_config.channel_multiplier)
    seen, drawn = vision.image_size // vision.patch_size, vision.image_size >> (levels - 1)
    if seen != drawn or vision.num_image_tokens != seen**2:
        raise SettingsError(
            f"host 'janus': config.json makes {seen} × {seen} features of what is read, {drawn} × {drawn} codes of "
            f"what is drawn, and has num_image_tokens {vision.num_image_tokens}; all three must agree"
        )
    return int(seen**2)
