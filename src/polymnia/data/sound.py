"""What `audio` needs of signal processing: one rate for everything, and files that are cut short."""

from typing import TYPE_CHECKING

import numpy as np

from polymnia.data.modality import Array
from polymnia.errors import DataError

if TYPE_CHECKING:
    from av import AudioFrame

RATE = 16_000
"""Samples a second of everything that `audio` reads."""


class Resampler:
    """Frames of any rate and layout to mono at 16,000 samples a second, in float32; channels are averaged."""

    def __init__(self) -> None:
        import av

        self._inner = av.AudioResampler(format="fltp", rate=RATE)  # its own mix to mono is louder than the average

    def take(self, frame: "AudioFrame | None") -> list[Array]:
        """Return what is ready after one more frame; None asks for what was held back."""
        return [part.to_ndarray().mean(0) for part in self._inner.resample(frame)]


class Steady:
    """Blocks of mono sound of any rate to 16,000 samples a second, as they come: only what is kept takes memory.

    Parameters
    ----------
    rate : int
        Samples a second of the blocks.
    """

    def __init__(self, rate: int) -> None:
        self.rate, self._inner = rate, Resampler()

    def take(self, block: Array | None) -> list[Array]:
        """Return what is ready after one more block (samples,); None asks for what was held back."""
        if self.rate == RATE:
            return [] if block is None else [block]
        if block is None:
            return self._inner.take(None)
        import av

        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block)[None], format="fltp", layout="mono")
        frame.sample_rate = self.rate
        return self._inner.take(frame)


def joined(blocks: list[Array]) -> Array:
    """Return blocks of samples one after another; no blocks are no samples."""
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def uncut(data: bytes) -> None:
    """Raise DataError for a WAV or Ogg file that is cut short; decoders return what is left without a word."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        _uncut_wav(data)
    elif data[:4] == b"OggS":
        _uncut_ogg(data)


def _uncut_ogg(data: bytes) -> None:
    """Look at the last page only; its end-of-stream flag says little, real files are without it."""
    page = data[data.rfind(b"OggS") :]
    head = 27 + (page[26] if len(page) > 26 else 0)
    if len(page) < head or len(page) < head + sum(page[27:head]):
        raise DataError("is truncated: its last Ogg page is incomplete")


def _uncut_wav(data: bytes) -> None:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"data":
            held = len(data) - at - 8
            if held < size < 0x7FFF0000:  # beyond that, the length was not known when the header was written
                raise DataError(f"is truncated: {size:,} bytes of sound are announced and {held:,} are there")
            return
        at += 8 + size + size % 2
    raise DataError("is truncated: the WAV header ends before any sound")
