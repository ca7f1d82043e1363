"""What a value of the index looks or sounds like: only a file that the index itself names is ever opened."""

import asyncio
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from polymnia.data.thumbnail import SEEN
from polymnia.errors import DataError
from polymnia.service.current import Current
from polymnia.service.decoding import Decoder
from polymnia.service.settings import ServiceSettings

How = Literal["look", "play"]
HEARD = ("audio", "video")
"""Kinds of signal that can be played."""
SIDE = 320
"""Pixels of the longer side of a thumbnail."""


class NoContent(DataError):
    """There is nothing to look at, or to listen to."""


@dataclass(frozen=True)
class Content:
    """What a browser shows or plays.

    Parameters
    ----------
    data : bytes
        A thumbnail, a sound or a film.
    media_type : str
        Of the data, told by their content.
    """

    data: bytes
    media_type: str


async def content_of(
    current: Current, decoder: Decoder, settings: ServiceSettings, *, id: str, modality: str, source: str | None,
    how: How | None,
) -> Content:  # fmt: skip
    """Return what a value of the index in use looks or sounds like.

    Parameters
    ----------
    current, decoder, settings
        Of the service.
    id, modality : str
        As a hit tells them.
    source : str, optional
        Needed where several sources have the same sample.
    how : str, optional
        "look": a thumbnail of a picture or of the middle of a film. "play": a sound or a film. By default what the
        kind of signal is for.

    Raises
    ------
    NoContent
        The index has no such value, it is not a file, or its kind cannot be shown so.
    DataError
        The file is too large, or cannot be decoded.
    SettingsError
        The version in use has no index.
    """
    path, kind = await asyncio.to_thread(_file_of, current, id, modality, source)
    wanted = how or ("look" if kind == "image" else "play")
    if kind not in (SEEN if wanted == "look" else HEARD):
        raise NoContent(f"{modality} is {kind}, which cannot be {'looked at' if wanted == 'look' else 'played'}")
    data = await asyncio.to_thread(read_within, path, most=settings.max_content)
    if wanted == "look":
        return Content(await decoder.thumbnail(kind, data, side=SIDE), "image/jpeg")
    played = playable(kind, data)
    if played is None and kind == "audio":
        return Content(await decoder.wav(data), "audio/wav")
    if played is None:
        raise NoContent("the film is of a kind that browsers do not play; they play MP4 and WebM")
    return Content(data, played)


def _file_of(current: Current, id: str, modality: str, source: str | None) -> tuple[Path, str]:
    """Return the file that the index names, and its kind of signal."""
    rows = [row for row in current.rows(id, modality) if source in (None, unplaced(row["source"]))]
    if not rows:
        raise NoContent(f"the index has no {modality[:60]!r} of a sample {id[:200]!r}")
    if len(rows) > 1:
        raise DataError(f"several sources have a sample {id[:200]!r}; say which by source=…")
    kind = current.held.learned.kinds.get(rows[0]["modality"], "")
    if not is_file(kind, rows[0]["value"]):
        raise NoContent(f"the {modality} of sample {id!r} is not a file: {rows[0]['value'][:60] or 'numbers'}")
    return Path(rows[0]["value"]), kind


def is_file(kind: str, value: str) -> bool:
    """Return whether a row's value is the path of a file that can be shown; a text that looks like one is a text.

    Examples
    --------
    >>> is_file("image", "/data/frog.png"), is_file("image", "uint8 (8, 8, 3)"), is_file("text", "/etc/passwd")
    (True, False, False)
    """
    return kind in (*SEEN, *HEARD) and Path(value).is_absolute()


def shown_as(kind: str, value: str) -> list[How]:
    """Return how a row's value can be shown.

    Examples
    --------
    >>> shown_as("video", "/data/frog.mp4"), shown_as("audio", "float32 (16000,)")
    (['look', 'play'], [])
    """
    if not is_file(kind, value):
        return []
    ways: dict[How, tuple[str, ...]] = {"look": SEEN, "play": HEARD}
    return [way for way, kinds in ways.items() if kind in kinds]


def read_within(path: Path, *, most: int) -> bytes:
    """Return the content of a regular file of at most so many bytes; a pipe or a device is not waited for.

    Raises
    ------
    NoContent
        There is no such file any more, or it is not a regular one.
    DataError
        It is larger.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise NoContent(f"{path.name} is not a regular file")
            data = file.read(most + 1)
    except (OSError, ValueError):
        raise NoContent(f"{path.name} cannot be opened any more; index again") from None
    if len(data) > most:
        raise DataError(f"{path.name} has {about.st_size:,} bytes; {most:,} are shown at most (max_content)")
    return data


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def playable(kind: str, data: bytes) -> str | None:
    """Return the media type of a file that browsers play as it is, told by its content; else None.

    Examples
    --------
    >>> playable("audio", b"RIFF....WAVEfmt "), playable("video", b"....ftypisom"), playable("audio", b"<html>")
    ('audio/wav', 'video/mp4', None)
    """
    if data[4:8] == b"ftyp":
        return f"{kind}/mp4"
    if data[:4] == b"\x1aE\xdf\xa3" and b"webm" in data[:64]:
        return f"{kind}/webm"
    return _sound(data) if kind == "audio" else None


def _sound(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav"
    if data[:4] == b"OggS":
        return "audio/ogg"
    if data[:4] == b"fLaC":
        return "audio/flac"
    frame = int.from_bytes(data[:2], "big") & 0xFFE6  # eleven bits of synchronisation, any version, layer III
    return "audio/mpeg" if data[:3] == b"ID3" or frame == 0xFFE2 else None


def told(hit: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a hit without the folders of this machine, and with how it can be shown."""
    value = hit["value"]
    plain = Path(value).name if Path(value).is_absolute() else value
    return {**hit, "value": plain, "source": unplaced(hit["source"]), "shows": shown_as(kind, value)}


def unplaced(source: str) -> str:
    """Return a source as clients see it: a digest in place of settings that name folders of this machine.

    Examples
    --------
    >>> unplaced("own"), unplaced("manifest path=/home/anna/photos.csv")
    ('own', 'manifest 6531c5031ea2')
    """
    if not {"/", "\\"} & set(source):
        return source
    return f"{source.split()[0]} {hashlib.sha256(source.encode()).hexdigest()[:12]}"
