"""What a file is, told by its content; real files, made here."""

import io

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from polymnia.data.recognise import recognise
from polymnia.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)


def saved(write) -> bytes:
    held = io.BytesIO()
    write(held)
    return held.getvalue()


def picture(kind, frames=1) -> bytes:
    images = [Image.fromarray(np.roll(PIXELS, i, 0)) for i in range(frames)]
    return saved(lambda f: images[0].save(f, kind, save_all=frames > 1, append_images=images[1:]))


def film(*, sound: bool) -> bytes:
    held = io.BytesIO()
    with av.open(held, "w", format="matroska") as container:
        track = container.add_stream("mpeg4", rate=10)
        track.width, track.height, track.pix_fmt = 16, 16, "yuv420p"
        voice = container.add_stream("pcm_s16le", rate=16000, layout="mono") if sound else None
        for _ in range(5):
            container.mux(track.encode(av.VideoFrame.from_ndarray(PIXELS, format="rgb24")))
        container.mux(track.encode())
        if voice:
            frame = av.AudioFrame.from_ndarray(np.ones((1, 1600), np.int16), format="s16", layout="mono")
            frame.sample_rate = 16000
            container.mux(voice.encode(frame))
            container.mux(voice.encode())
    return held.getvalue()


def sound(kind, subtype=None) -> bytes:
    wave = np.sin(np.arange(8000) / 10).astype(np.float32)
    return saved(lambda f: soundfile.write(f, wave, 16000, format=kind, subtype=subtype))


def array(*shape) -> bytes:
    return saved(lambda f: np.save(f, np.zeros(shape)))


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (picture("PNG"), ("image",)),
        (picture("JPEG"), ("image",)),
        (picture("GIF"), ("image",)),
        (picture("GIF", frames=3), ("video", "image")),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>', ("image",)),
        (sound("WAV"), ("audio",)),
        (sound("OGG"), ("audio",)),
        (sound("FLAC"), ("audio",)),
        (film(sound=False), ("video",)),
        (film(sound=True), ("video", "audio")),
        (b"ply\nformat ascii 1.0\n", ("point-cloud",)),
        (b"# made by hand\nv 0 0 1\nv 1 0 0\nv 0 1.5e1 -2\nf 1 2 3\n", ("point-cloud",)),
        (b"o sole mio", ("text",)),
        (b"v for victory\n", ("text",)),
        (array(5, 3), ("point-cloud", "motion", "table")),
        (array(64), ("table", "motion")),
        (b"width,height\n1.5,2\n", ("table", "motion", "text")),
        ("été à la mer".encode(), ("text",)),
        ("é".encode() * 40_000, ("text",)),
    ],
)  # fmt: skip
def test_kinds_by_content(data, kinds):
    assert recognise(data) == kinds


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x01\x02\xff" * 50, b"%PDF-1.7\n\xe2\xe3\xcf\xd3\n\0", b"PK\x03\x04\xff\xfe"]
)
def test_what_is_nothing_known_is_said(data):
    with pytest.raises(DataError, match=r"is empty|is of no kind"):
        recognise(data)
