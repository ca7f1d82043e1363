"""`chameleon`: a checkpoint of Chameleon or Anole, whose pictures are tokens of the one vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.encoders.checkpoint import Checkpoint
from polymnia.errors import SettingsError
from polymnia.hosts.base import register
from polymnia.hosts.chameleon_pictures import ChameleonPictures, decoder_weights
from polymnia.hosts.joint_vocabulary import JointVocabulary
from polymnia.hosts.preparing_pictures import PictureProcessor
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.hosts.turns import Turns
from polymnia.hosts.unified import as_tokens
from polymnia.hosts.unified_checkpoint import AnyPrecision, UnifiedCheckpoint, at_least_single, special


class Chameleon(AnyPrecision, JointVocabulary):
    """Chameleon over its own classes of transformers.

    Which id a code has is the model's own mapping of names (`vocabulary_map`). The class's forward forbids all codes;
    here a text may hold none, and a picture nothing else, so states and output embeddings are used directly.

    Parameters
    ----------
    network : nn.Module
        `ChameleonForConditionalGeneration`.
    tokeniser : Tokeniser
        Its own.
    pictures : ChameleonPictures
        Its own.
    processor : PictureProcessor
        What prepares pictures for it.

    Source: Chameleon Team 2024, section 2.
    """

    def __init__(
        self, network: Any, tokeniser: Tokeniser, pictures: ChameleonPictures, processor: PictureProcessor
    ) -> None:
        marks = (
            special(tokeniser, "boi_token", usual="<racm3:break>"),
            special(tokeniser, "eoi_token", usual="<eoss>"),
        )
        super().__init__(network, tokeniser, pictures, ids=code_ids(network, pictures.codes), marks=marks)
        self.processor = processor

    def look(self, pictures: Sequence[Array]) -> list[Tensor]:
        """Return (T, 2) of each picture: its codes."""
        found, weight = [], self.pictures.network.vq.quantize.embedding.weight
        with torch.inference_mode():
            for picture in pictures:
                pixels = self.processor(picture)[None].to(weight.device, weight.dtype)
                found.append(as_tokens(self.pictures.network.encode(pixels)[0].cpu()))
        return found

    @torch.inference_mode()
    def pixels(self, codes: Tensor) -> Tensor:
        """Return pictures (B, side, side, 3) in uint8 of codes (B, T).

        Raises
        ------
        SettingsError
            The checkpoint has no decoder of pictures.
        """
        return self.processor.undone(self.pictures.network.decode(codes))

    def code_logits(self, states: Tensor) -> Tensor:
        """Return (…, K) of states (…, H), in float32 at least."""
        return at_least_single(super().code_logits(states.to(self.precision)))


@register("chameleon")
class ChameleonHost(UnifiedCheckpoint):
    """A checkpoint of `ChameleonForConditionalGeneration`; behind each prompt stands its separator, if it has one.

    What was released as Chameleon reads alone: its output embeddings of codes were not trained, and no decoder of
    pictures comes with it. Anole has both.
    """

    architecture = "ChameleonForConditionalGeneration"
    spared = ("vqmodel.post_quant_conv",)  # it is of the decoder, and may come with it from another folder
    card = Card(
        title="Chameleon or Anole, from transformers",
        licence="the checkpoint's (Chameleon: Chameleon Research License)",
        citation="Chameleon Team (2024). Chameleon: mixed-modal early-fusion foundation models. arXiv 2405.09818. "
        "E. Chern et al. (2024). Anole. arXiv 2407.06135.",
        homepage="https://huggingface.co/docs/transformers/model_doc/chameleon",
        get="name it: host: {name: chameleon, path: leloy/Anole-7b-v0.1-hf, dtype: bfloat16}",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings(UnifiedCheckpoint.Settings):
        """Which one, in what precision, and what draws its pixels."""

        decoder: str | None = None
        """A folder, or a name on the hub, whose safetensors hold a decoder of pictures; none: the checkpoint's own."""

    def tokeniser(self) -> Tokeniser:
        """Return the tokeniser alone."""
        held = Tokeniser.load(self.folder()).held
        end = held.sep_token_id
        return Turns(held, behind=[] if end is None else [int(end)])

    def load(self) -> Chameleon:
        """Return the model, frozen, on the CPU."""
        network, folder = self.network(), self._drawing_folder()
        vq = network.model.vqmodel
        weights = decoder_weights(folder, checkpoint=self.folder(), levels=len(vq.config.channel_multiplier))
        pictures = ChameleonPictures(vq, weights, origin=str(folder))
        processor = PictureProcessor("ChameleonImageProcessorPil", self.folder(), side=pictures.side)
        return Chameleon(network, self.tokeniser(), pictures, processor)

    def _drawing_folder(self) -> Path:
        other = self.settings.decoder
        if other is None:
            return self.folder()
        return Path(other).expanduser() if Path(other).expanduser().is_dir() else Checkpoint(other).folder


def code_ids(network: Any, codes: int) -> Tensor:
    """Return (K,) the id of each code, by the network's own mapping.

    Raises
    ------
    SettingsError
        It does not name all of them.
    """
    named = network.config.vocabulary_map
    known = network.model.vocabulary_mapping.img2bpe if named else {}
    missing = [code for code in range(codes) if code not in known]
    if missing:
        raise SettingsError(
            f"host 'chameleon': config.json has no `vocabulary_map` entry for {len(missing)} of {codes} codes of "
            f"pictures, {missing[0]} first; they are named IMGIMG…Z"
        )
    return torch.tensor([known[code] for code in range(codes)])
