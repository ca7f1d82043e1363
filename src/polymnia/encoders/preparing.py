"""What a Hugging Face network is given: values prepared one at a time, as the checkpoint's own processor says."""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.sound import RATE
from polymnia.encoders.checkpoint import Checkpoint
from polymnia.encoders.whisper import SHORTEST, log_mel
from polymnia.errors import DataError, SettingsError

Inputs = Mapping[str, Tensor]
"""Name → tensor without a batch axis."""
Prepare = Callable[[Any], Inputs]


def preparing(checkpoint: Checkpoint, kind: str, config: Any, *, pad: bool = True) -> Prepare:
    """Return what makes the network's inputs of one value of a kind.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where the processor's settings are.
    kind : str
        image, audio, text or video.
    config : PretrainedConfig
        Of the tower.
    pad : bool
        Of Whisper: fill sound up to 30 seconds.
    """
    makers = {"image": _images, "video": _videos, "audio": _sounds, "text": _texts}
    with said(f"{checkpoint.path} has no usable processor for {kind}"):
        return makers[kind](checkpoint.folder, config) if pad else _unpadded_sounds(checkpoint.folder)


@contextmanager
def said(what: str) -> Generator[None, None, None]:
    """Turn what transformers raises over a folder's content into a SettingsError."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, SafetensorError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SettingsError(f"{what}: {lines[0][:300]}") from error


def _images(folder: Path, config: Any) -> Prepare:
    processor = _image_processor(folder)

    def prepare(value: Array) -> Inputs:
        return {"pixel_values": processor(images=value, return_tensors="pt", **_LAST)["pixel_values"][0]}

    return prepare


def _videos(folder: Path, config: Any) -> Prepare:
    processor = _image_processor(folder)

    def prepare(value: Array) -> Inputs:
        wanted = getattr(config, "num_frames", len(value))
        taken = ((np.arange(wanted) + 0.5) * len(value) / wanted).astype(np.int64)  # the middles of equal parts
        return {"pixel_values": processor(images=list(value[taken]), return_tensors="pt", **_LAST)["pixel_values"][0]}

    return prepare


_LAST = {"input_data_format": "channels_last"}


def _image_processor(folder: Path) -> Any:
    """Return the processor that works through Pillow, which gives the same pixels on every machine."""
    import transformers
    from transformers import AutoImageProcessor

    newer = int(transformers.__version__.split(".")[0]) >= 5
    how: dict[str, Any] = {"backend": "pil"} if newer else {"use_fast": False}
    return AutoImageProcessor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **how)


def _extractor(folder: Path) -> Any:
    from transformers import AutoFeatureExtractor

    return AutoFeatureExtractor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def _unpadded_sounds(folder: Path) -> Prepare:
    extractor = _extractor(folder)
    return lambda value: {"input_features": log_mel(extractor, value, pad=False)}


def _sounds(folder: Path, config: Any) -> Prepare:
    extractor = _extractor(folder)
    rate = int(extractor.sampling_rate)
    longest = next((n for n in (getattr(extractor, a, None) for a in ("n_samples", "nb_max_samples")) if n), None)

    def prepare(value: Array) -> Inputs:
        sound = resampled(np.pad(value, (0, max(SHORTEST - len(value), 0))), rate)[:longest]
        with _numpy_untouched():  # CLAP's draws, even where there is nothing to choose
            made = extractor(sound, sampling_rate=rate, return_tensors="pt")
        return {name: torch.as_tensor(tensor)[0] for name, tensor in made.items()}

    return prepare


def resampled(sound: Array, rate: int) -> Array:
    """Return sound (samples,) at 16,000 samples a second at another rate.

    Examples
    --------
    >>> len(resampled(np.zeros(16_000, np.float32), 48_000))
    48000
    """
    if rate == RATE:
        return sound
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound, np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate = RATE
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    blocks = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    return np.concatenate(blocks)[: math.ceil(len(sound) * rate / RATE)]


@contextmanager
def _numpy_untouched() -> Generator[None, None, None]:
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


_SHIFTED = ("roberta", "camembert", "mpnet", "longformer", "clap")
"""Families that count positions from behind the number of the padding piece."""


def _texts(folder: Path, config: Any) -> Prepare:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    positions = getattr(config, "max_position_embeddings", None) or 512
    if any(family in config.model_type for family in _SHIFTED):
        positions -= 2
    longest = min(tokenizer.model_max_length, positions)
    padding = "max_length" if config.model_type.startswith("siglip") else False  # SigLIP has never seen anything else

    def prepare(value: str) -> Inputs:
        ids = tokenizer(value, truncation=True, max_length=longest, padding=padding)["input_ids"]
        if not ids:
            raise DataError(f"the tokenizer makes nothing of {value[:60]!r}")
        return {"input_ids": torch.tensor(ids)}

    return prepare
