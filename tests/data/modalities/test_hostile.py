"""Damaged files of every kind: an array, or a DataError with a reason; never another exception."""

import numpy as np
import pytest

from polymnia.data.modality import MODALITIES
from polymnia.errors import DataError

CASES = 40

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # what Pillow says of damaged headers


@pytest.fixture(scope="module")
def valid(picture, tone, sound_in_container, film, npy, cube):
    """Return small valid files: name → (modality, content)."""
    steps = np.arange(30, dtype=np.float32).reshape(10, 3)
    csv = ("x,y,z\n" + "\n".join(",".join(map(str, row)) for row in steps.tolist())).encode()
    images = {kind: ("image", picture(kind)) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")}
    sounds = {kind: ("audio", tone(kind, seconds=0.1)) for kind in ("WAV", "FLAC", "OGG", "MP3")}
    tables = {f"{name} {form}": (name, data) for name in ("table", "motion", "point-cloud")
              for form, data in (("npy", npy(steps)), ("csv", csv))}  # fmt: skip
    return {
        **images,
        **sounds,
        **tables,
        "MP4 sound": ("audio", sound_in_container(seconds=0.2)),
        "MP4": ("video", film(frames=6)),
        "WebM": ("video", film("webm", "libvpx", frames=6)),
        "PLY": ("point-cloud", cube("ply")),
        "OBJ": ("point-cloud", cube("obj")),
        "text": ("text", "Élan, naïveté\n".encode() * 4),
    }


NAMES = [
    "PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "WAV", "FLAC", "OGG", "MP3", "MP4 sound", "MP4", "WebM", "PLY",
    "OBJ", "text", "table npy", "table csv", "motion npy", "motion csv", "point-cloud npy", "point-cloud csv",
]  # fmt: skip


def attempt(modality: str, data: bytes) -> bool:
    """Return whether it could be read; anything but a sound value or a reason fails the test."""
    try:
        value = MODALITIES.get(modality)().read(data)
    except DataError as error:
        assert str(error)
        return False
    if isinstance(value, str):
        assert value.strip()
    else:
        assert value.size
        assert value.dtype == np.uint8 or np.isfinite(value).all()
    return True


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bytes(valid, name):
    modality, data = valid[name]
    assert attempt(modality, data)
    random = np.random.default_rng(list(name.encode()))
    for case in range(CASES):
        damaged = bytearray(data)
        # half of the damage goes to the header, which decoders trust most
        places = random.integers(0, min(len(data), 64) if case % 2 else len(data), size=1 + case % 4)
        for at in places:
            damaged[at] = random.integers(256)
        attempt(modality, bytes(damaged))


@pytest.mark.parametrize("name", NAMES)
def test_truncated_and_padded_files(valid, name):
    modality, data = valid[name]
    random = np.random.default_rng(list(name.encode()))
    for length in random.integers(0, len(data), size=CASES // 2):
        attempt(modality, data[:length])
    attempt(modality, data + b"\0" * 100)
    attempt(modality, random.bytes(200) + data)


@pytest.mark.parametrize("modality", MODALITIES.names())
def test_every_kind_of_file_given_as_every_other(valid, modality):
    for _, data in valid.values():
        attempt(modality, data)


@pytest.mark.parametrize("modality", MODALITIES.names())
def test_noise(modality):
    random = np.random.default_rng(0)
    for size in (1, 2, 7, 60, 512, 4096):
        attempt(modality, random.bytes(size))


def test_damaged_drawings(svg):
    pytest.importorskip("resvg_py")
    random = np.random.default_rng(0)
    for _ in range(8):  # each is a process
        damaged = bytearray(svg)
        damaged[random.integers(len(svg))] = random.integers(256)
        attempt("image", bytes(damaged))
