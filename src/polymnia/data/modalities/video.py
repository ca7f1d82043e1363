"""`video`: moving pictures."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from polymnia.data.containers import complete, open_container, stated_seconds
from polymnia.data.modalities.image import eight_bit, on_white
from polymnia.data.modality import Array, Modality, decoding, register
from polymnia.errors import DataError


@register("video")
class Video(Modality):
    """Frames (T, H, W, 3) in uint8: a file (MP4, WebM, Matroska, AVI, MPEG, GIF), or an array.

    Of n frames, 16 are taken: the middle one of each of 16 equal parts, or all when there are no more. Rotation that
    the file states is applied. An array is (T, H, W, 1), (T, H, W, 3) or (T, H, W, 4) in uint8, or floats in [0, 1],
    and is sampled in the same way.
    Limits: 256 MiB a file, 600 seconds, 36,000 frames, 9,500,000 pixels a frame (a little more than 4K).

    Examples
    --------
    >>> Video().read(np.zeros((40, 8, 8, 3), np.uint8)).shape
    (16, 8, 8, 3)
    """

    suffixes = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".mpg", ".mpeg", ".gif")
    ragged = 3
    frames: ClassVar[int] = 16
    max_seconds: ClassVar[int] = 600
    max_frames: ClassVar[int] = 36_000
    max_pixels: ClassVar[int] = 9_500_000

    def decode(self, data: bytes) -> Array:
        """Return sampled frames of a file."""
        count = self._packets(data)
        chosen, seen = self._pick(data, count)
        if seen != count:  # packets and frames need not be one to one; now the true number is known
            chosen, seen = self._pick(data, seen)
        if not chosen:
            raise DataError("holds no frame that can be decoded")
        return np.stack(chosen)

    def check(self, array: Array) -> Array:
        """Return sampled frames of an array."""
        if array.ndim != 4 or array.shape[3] not in (1, 3, 4) or not array.size:
            raise DataError(f"has shape {array.shape}; (T, H, W, 3) is needed")
        self._within(array.shape[2], array.shape[1])
        return on_white(eight_bit(array[middles(len(array), self.frames)]))

    def _packets(self, data: bytes) -> int:
        """Return how many packets of the first picture track there are, without decoding; check every limit."""
        with open_container(data, "video (or truncated)") as container, decoding("video"):
            if not container.streams.video:
                raise DataError("holds no pictures")
            track = container.streams.video[0]
            if track.codec_context is None:
                raise DataError("has pictures in a coding that this PyAV cannot decode, or is truncated")
            self._within(track.codec_context.width, track.codec_context.height)
            stated = stated_seconds(container)
            if stated is not None and stated > self.max_seconds:
                raise DataError(f"states {stated:.0f} seconds; the limit is {self.max_seconds}")
            count, end = 0, 0.0
            for packet in container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                count += packet.stream_index == track.index and packet.size > 0
                if count > self.max_frames:
                    raise DataError(f"has more than {self.max_frames:,} frames, the limit")
            complete(stated, end)
            return count

    def _pick(self, data: bytes, count: int) -> tuple[list[Array], int]:
        """Return the frames to take if there are `count`, and how many there are."""
        wanted = set(middles(count, self.frames).tolist())
        chosen: list[Array] = []
        seen = 0
        with open_container(data, "video") as container, decoding("video"):
            for frame in container.decode(container.streams.video[0]):
                if seen in wanted:
                    self._within(frame.width, frame.height)
                    chosen.append(_pixels(frame, like=chosen[0] if chosen else None))
                seen += 1
                if seen > self.max_frames:
                    raise DataError(f"has more than {self.max_frames:,} frames, the limit")
        return chosen, seen

    def _within(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise DataError(f"has frames of {width} × {height} pixels; the limit is {self.max_pixels:,}")


def middles(count: int, wanted: int) -> Array:
    """Return which of `count` frames stand in the middle of `wanted` equal parts; all, when there are no more.

    Examples
    --------
    >>> middles(8, 4), middles(2, 4)
    (array([1, 3, 5, 7]), array([0, 1]))
    """
    if count <= wanted:
        return np.arange(count)
    return ((np.arange(wanted) + 0.5) * count / wanted).astype(np.int64)


def _pixels(frame: Any, like: Array | None) -> Array:
    """Return a frame (H, W, 3), upright and as large as the first one."""
    turns = round((frame.rotation or 0) / 90) % 4
    convert: Callable[..., Any] = frame.reformat
    if like is None:
        return np.rot90(convert(format="rgb24").to_ndarray(), turns)
    height, width = like.shape[:2] if turns % 2 == 0 else like.shape[1::-1]
    return np.rot90(convert(width=width, height=height, format="rgb24").to_ndarray(), turns)
