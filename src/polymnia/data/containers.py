"""Files that hold sound or moving pictures: opened through PyAV, and nothing else is opened on their behalf."""

import io
from typing import TYPE_CHECKING

from polymnia.data.modality import decoding
from polymnia.errors import DataError

if TYPE_CHECKING:
    from av.container import InputContainer

# Playlists are missing on purpose: they name other files and addresses.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,flv,asf,gif,ogg,"
    "mp3,aac,ac3,flac,wav,aiff,au,amr,caf"
)


def open_container(data: bytes, what: str) -> "InputContainer":
    """Return an opened container over a file's content.

    Raises
    ------
    DataError
        It is of no accepted kind, or damaged at its beginning.
    """
    import av

    with decoding(what):
        return av.open(io.BytesIO(data), mode="r", container_options={"format_whitelist": FORMATS})


def stated_seconds(container: "InputContainer") -> float | None:
    """Return how long the container says it is."""
    return None if container.duration is None else container.duration / 1e6


def complete(stated: float | None, found: float) -> None:
    """Raise DataError when what was found ends clearly before what was stated.

    Encoders state their length within a few frames; a tenth and a quarter of a second are far beyond that.
    """
    if stated is not None and found < 0.9 * stated and found < stated - 0.25:
        raise DataError(f"is truncated: {stated:.2f} seconds are announced and {found:.2f} are there")
