"""Which kind of signal a file holds, told by its content and never by its name."""

import io
import re

import numpy as np

from polymnia.data.containers import open_container
from polymnia.data.modalities.image import FORMATS
from polymnia.data.modalities.point_cloud import mesh_kind
from polymnia.data.modality import MODALITIES
from polymnia.data.numbers import NPY, numbers
from polymnia.data.svg import is_svg
from polymnia.errors import DataError

HEAD = 1 << 16
"""Bytes of a text that are looked at."""
VERTEX = re.compile(rb"^v(\s+[-+.\deE]+){3}", re.MULTILINE)


def recognise(data: bytes) -> tuple[str, ...]:
    """Return the kinds of signal that a file's content can be read as, the likeliest first.

    A film with a sound track is a video first and audio second, an animation may be read as a picture, and a table of
    three or more columns may be points, motion or a table.

    Raises
    ------
    DataError
        It is of no kind that can be told.

    Examples
    --------
    >>> recognise("a frog in the rain".encode())
    ('text',)
    >>> recognise(b"x,y,z\\n0,0,1\\n1,0,2\\n")
    ('point-cloud', 'motion', 'table', 'text')
    """
    if not data:
        raise DataError("is empty (0 bytes)")
    found = _picture(data) or _mesh(data) or _array(data) or _text(data) or _sound(data) or _container(data)
    if not found:
        raise DataError(f"is of no kind that its content tells; known are {', '.join(MODALITIES.names())}")
    return found


def _picture(data: bytes) -> tuple[str, ...]:
    from PIL import Image

    if is_svg(data):
        return ("image",)
    Image.init()
    try:
        with Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN]) as picture:
            moving = picture.format == "GIF" and getattr(picture, "n_frames", 1) > 1
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ()
    return ("video", "image") if moving else ("image",)


def _mesh(data: bytes) -> tuple[str, ...]:
    kind = mesh_kind(data)
    # the first word of a poem may be one of an OBJ file's; a vertex may not
    return ("point-cloud",) if kind == "ply" or (kind == "obj" and VERTEX.search(data)) else ()


def _array(data: bytes) -> tuple[str, ...]:
    if not data.startswith(NPY):
        return ()
    return _of_columns(numbers(data, limit=len(data)))


def _text(data: bytes) -> tuple[str, ...]:
    head = data[:HEAD]
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) <= HEAD or error.start < HEAD - 4:  # else a character was cut in two
            return ()
        text = head[: error.start].decode("utf-8-sig")
    if "\0" in text:
        return ()
    lines = text.splitlines()
    lines = lines[: 100 if len(data) <= HEAD else min(100, len(lines) - 1)]
    try:
        rows = numbers("\n".join(lines).encode(), limit=HEAD)
    except DataError:
        return ("text",)
    return (*_of_columns(rows), "text")


def _of_columns(array: np.ndarray) -> tuple[str, ...]:
    if array.ndim == 2 and array.shape[1] >= 3:
        return ("point-cloud", "motion", "table")
    return ("table", "motion")


def _sound(data: bytes) -> tuple[str, ...]:
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)):
            return ("audio",)
    except soundfile.LibsndfileError:
        return ()


def _container(data: bytes) -> tuple[str, ...]:
    try:
        with open_container(data, "container") as held:
            pictures = [s for s in held.streams.video if not (s.disposition & s.disposition.attached_pic)]
            return (*(("video",) if pictures else ()), *(("audio",) if held.streams.audio else ()))
    except DataError:
        return ()
