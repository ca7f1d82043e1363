"""Values that are nearly the same: fingerprints of ±1 that differ in few places."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image as Pillow

from polymnia.data.modality import Array

SIDE = 16
"""Cells of a side by which pictures are compared."""
PLAIN = 2.0
"""Standard deviation of grey values (0 to 255) below which a picture shows too little to be compared."""
COLOUR = 12.0
"""By how much mean colours (0 to 255) of equal pictures may differ."""
BANDS, TIMES = 16, 16
"""Cells of frequency and time by which sounds are compared."""
APART = {"image": 0.04, "video": 0.04, "audio": 0.05}
"""Largest share of places in which fingerprints of nearly equal values differ (ours: see the tests)."""
BLOCK = 2048
"""Fingerprints that are compared at once."""


def fingerprint(kind: str, value: Any) -> tuple[Array, Array] | str | None:
    """Return what nearly equal values of a kind share.

    Of a picture or a video signs of differences of brightness (D,) in int8, and mean colours; of a sound signs of
    loudness, band by band, against its median; of a text its words without case, accents and punctuation. None: the
    kind has no such thing, or there is too little to see or hear.

    Parameters
    ----------
    kind : str
        Of signal.
    value : Array or str
        As the modality reads it.

    Source: the signs of a picture are those of dHash (Krawetz 2013), at 16 × 16 cells.
    """
    found = FINGERPRINTS.get(kind)
    return None if found is None else found(value)


def _picture(pixels: Array) -> tuple[Array, Array] | None:
    small = Pillow.fromarray(pixels).resize((SIDE + 1, SIDE), Pillow.Resampling.BOX)
    grey = np.asarray(small.convert("L"), dtype=np.float64)
    if grey.std() < PLAIN:
        return None
    return np.where(grey[:, 1:] > grey[:, :-1], 1, -1).astype(np.int8).ravel(), np.asarray(small).mean((0, 1))


def _video(frames: Array) -> tuple[Array, Array] | None:
    three = [_picture(frames[at]) for at in (0, len(frames) // 2, -1)]
    seen = [found for found in three if found is not None]
    if len(seen) < len(three):
        return None
    return np.concatenate([signs for signs, _ in seen]), np.concatenate([colours for _, colours in seen])


def _sound(sound: Array) -> tuple[Array, Array] | None:
    frame = 512
    if len(sound) < frame * TIMES // 2:
        return None
    starts = np.linspace(0, len(sound) - frame, TIMES * 4).astype(np.int64)
    pieces = np.stack([sound[at : at + frame] for at in starts]) * np.hanning(frame)
    power = np.abs(np.fft.rfft(pieces))[:, 1:] ** 2
    edges = np.unique(np.geomspace(1, power.shape[1], BANDS + 1).astype(np.int64)) - 1
    bands = np.add.reduceat(power, edges[:-1], axis=1)
    loud = np.log(bands.reshape(TIMES, 4, -1).mean(1) + 1e-10)
    return np.where(loud > np.median(loud, 0), 1, -1).astype(np.int8).ravel(), np.zeros(0)


def _text(text: str) -> str | None:
    plain = unicodedata.normalize("NFKD", text).casefold()
    words = re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)))
    return " ".join(words) or None


FINGERPRINTS: Mapping[str, Callable[[Any], tuple[Array, Array] | str | None]] = {
    "image": _picture, "video": _video, "audio": _sound, "text": _text,
}  # fmt: skip


def alike(kind: str, prints: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Yield pairs of places, the lower first, whose fingerprints are nearly the same.

    Parameters
    ----------
    kind : str
        Of signal.
    prints : sequence
        Of `fingerprint`; None is like nothing.
    """
    places = [at for at, found in enumerate(prints) if found is not None]
    if kind == "text":
        yield from _equal({at: prints[at] for at in places})
        return
    if not places:
        return
    signs = np.stack([prints[at][0] for at in places]).astype(np.float32)
    colours = np.stack([prints[at][1] for at in places])
    least = signs.shape[1] * (1 - 2 * APART[kind])
    for begin in range(0, len(places), BLOCK):
        rows, others = np.nonzero(signs[begin : begin + BLOCK] @ signs[begin:].T >= least)
        for row, other in zip((rows + begin).tolist(), (others + begin).tolist(), strict=True):
            if row < other and np.abs(colours[row] - colours[other]).max(initial=0.0) <= COLOUR:
                yield places[row], places[other]


def _equal(texts: Mapping[int, str]) -> Iterator[tuple[int, int]]:
    """Yield each text's place with that of the first one that is equal."""
    first: dict[str, int] = {}
    for at, text in texts.items():
        if text in first:
            yield first[text], at
        else:
            first[text] = at
