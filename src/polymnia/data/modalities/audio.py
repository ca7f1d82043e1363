"""`audio`: sound or speech."""

import io
from typing import ClassVar

import numpy as np

from polymnia.data.containers import complete, open_container, stated_seconds
from polymnia.data.modality import Array, Modality, decoding, register
from polymnia.data.sound import RATE, Resampler, Steady, joined, uncut
from polymnia.errors import DataError


@register("audio")
class Audio(Modality):
    """Sound (samples,) in float32 within [-1, 1], mono, at 16,000 samples a second: a file, or an array.

    Channels are averaged. WAV, FLAC, Ogg, MP3 and their relatives go through soundfile, everything else (MP4, WebM,
    AAC) and the sound of a video through PyAV. An array is (samples,) at 16,000 samples a second: floats, or int16.
    A file that is cut short is refused where its format can tell (not MP3 without a Xing header), and so is digital
    silence. Limits: 256 MiB a file, 600 seconds, 32 channels, 1,000 to 400,000 samples a second.

    Examples
    --------
    >>> Audio().read(np.array([0, 16384, -32768], dtype=np.int16))
    array([ 0. ,  0.5, -1. ], dtype=float32)
    """

    suffixes = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".m4a", ".mp4", ".webm", ".aac", ".wma")
    max_seconds: ClassVar[int] = 600
    max_channels: ClassVar[int] = 32

    def decode(self, data: bytes) -> Array:
        """Return the sound of a file."""
        import soundfile

        uncut(data)
        try:
            file = soundfile.SoundFile(io.BytesIO(data))
        except soundfile.LibsndfileError:
            return self._through_av(data)
        with decoding("audio file"), file:
            self._bounds(file.samplerate, file.channels)
            limit = self.max_seconds * file.samplerate
            steady, ready, count = Steady(file.samplerate), [], 0
            while len(block := file.read(1 << 16, dtype="float32", always_2d=True)):
                ready += steady.take(block.mean(1))
                count += len(block)
                self._within(count, limit)
            if file.format == "FLAC" and count < file.frames:
                raise DataError(f"is truncated: {file.frames:,} samples are announced and {count:,} are there")
            if file.format == "MP3" and any(mark in data[:65536] for mark in (b"Xing\0\0\0", b"Info\0\0\0")):
                complete(file.frames / file.samplerate, count / file.samplerate)
            return self._finished(joined([*ready, *(steady.take(None) if count else ())]))

    def check(self, array: Array) -> Array:
        """Return the sound of an array (samples,) at 16,000 samples a second."""
        if array.ndim != 1:
            raise DataError(f"has shape {array.shape}; (samples,) is needed: one channel at {RATE:,} samples a second")
        if array.dtype == np.int16:
            array = array / np.float32(32768)
        elif not np.issubdtype(array.dtype, np.floating):
            raise DataError(f"has dtype {array.dtype}; sound is floats in [-1, 1], or int16")
        peak = np.abs(array).max(initial=0)
        if np.isfinite(peak) and peak > 1.5:  # decoders overshoot 1 a little; anything more is another scale
            raise DataError(f"has values up to {peak:.4g}; floats must lie in [-1, 1]")
        self._within(len(array), self.max_seconds * RATE)
        return self._finished(array.astype(np.float32))

    def _through_av(self, data: bytes) -> Array:
        """Return the first sound track of a container."""
        with open_container(data, "audio file (or truncated)") as container, decoding("audio file"):
            if not container.streams.audio:
                raise DataError("holds no sound track")
            track = container.streams.audio[0]
            if track.codec_context is None:
                raise DataError("has sound in a coding that this PyAV cannot decode, or is truncated")
            self._bounds(track.rate, track.channels)
            resampler, blocks, count = Resampler(), [], 0
            for frame in container.decode(track):
                ready = resampler.take(frame)
                blocks += ready
                count += sum(map(len, ready))
                self._within(count, self.max_seconds * RATE)
            sound = joined([*blocks, *resampler.take(None)])
            if len(container.streams) == 1:
                complete(stated_seconds(container), len(sound) / RATE)
            return self._finished(sound)

    def _bounds(self, rate: int, channels: int) -> None:
        if not 1_000 <= rate <= 400_000 or not 1 <= channels <= self.max_channels:
            raise DataError(f"states {channels} channels at {rate} samples a second; the header is damaged")

    def _within(self, count: int, limit: int) -> None:
        if count > limit:
            raise DataError(f"is longer than {self.max_seconds} seconds, the limit")

    def _finished(self, sound: Array) -> Array:
        """Return the sound within [-1, 1], or say why it cannot be heard."""
        if not len(sound):
            raise DataError("has no samples: its length is zero")
        wrong = int((~np.isfinite(sound)).sum())
        if wrong:
            raise DataError(f"has {wrong:,} of {len(sound):,} samples that are NaN or infinite")
        if np.abs(sound).max() < 1e-5:  # below one step of 16 bits
            raise DataError(f"is silent throughout ({len(sound) / RATE:.2f} seconds)")
        return np.clip(sound, -1, 1, dtype=np.float32)
