"""Whisper's encoder over sound of any length up to 30 seconds, padded or not."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from polymnia.data.modality import Array
from polymnia.data.sound import RATE
from polymnia.encoders.transformer_trunk import LAYOUTS, TransformerTrunk

STEP = 320
"""Samples at 16 kHz that one token stands for: 20 ms."""
SHORTEST = RATE // 20
"""Sound shorter than this is followed by silence up to it."""


def heard(tokens: Tensor, sound: Any) -> Tensor:
    """Return Whisper's tokens (1500, d) of 30 seconds without those of the silence behind the sound.

    Examples
    --------
    >>> heard(torch.zeros(1500, 2), torch.zeros(16_000)).shape
    torch.Size([50, 2])
    """
    return tokens[: max(1, math.ceil(len(tokens) * len(sound) / (30 * RATE)))]


def log_mel(extractor: Any, sound: Array, *, pad: bool) -> Tensor:
    """Return the log-mel frames (mels, F) of a sound at 16 kHz: 3,000 with `pad`, else two for each 20 ms."""
    sound = np.pad(sound, (0, max(SHORTEST - len(sound), 0)))[: extractor.n_samples]
    if not pad:
        sound = np.pad(sound, (0, -len(sound) % STEP))
    how = {} if pad else {"padding": "longest"}
    return torch.as_tensor(extractor(sound, sampling_rate=RATE, return_tensors="pt", **how)["input_features"])[0]


def embedded(network: Any, frames: Tensor) -> Tensor:
    """Return the states (B, T, d) before the first layer of log-mel frames (B, mels, 2 T).

    Convolutions and the first T of the 1,500 fixed positions: Radford et al. 2022, section 2.2, for 30 seconds.
    """
    states = nn.functional.gelu(network.conv1(frames))
    states = nn.functional.gelu(network.conv2(states)).transpose(1, 2)
    return states + network.embed_positions.weight[: states.shape[1]].to(states.dtype)


def whisper_states(network: Any, layer: int | None) -> Callable[..., Tensor]:
    """Return what makes of `input_features` (B, mels, 2 T) the final tokens (B, T, d), or those before a layer."""
    trunk = TransformerTrunk(network, LAYOUTS["whisper"])

    def run(input_features: Tensor) -> Tensor:
        states = embedded(network, input_features)
        for index in range(trunk.depth if layer is None else layer):
            states = trunk.layer(index, states, None)
        return trunk.finish(states) if layer is None else states

    return run
