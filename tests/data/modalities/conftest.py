"""Small valid files of every kind, written by the tests themselves."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image as Pillow

SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="100" height="50">
<rect width="50%" height="100%" fill="red"/></svg>"""


@pytest.fixture(scope="session")
def picture():
    """Return a function that makes an image file: ``picture("PNG", array, save options)``."""

    def make(kind="PNG", array=None, **options) -> bytes:
        if array is None:
            array = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
        out = io.BytesIO()
        (array if isinstance(array, Pillow.Image) else Pillow.fromarray(array)).save(out, kind, **options)
        return out.getvalue()

    return make


@pytest.fixture(scope="session")
def tone():
    """Return a function that makes a sound file: a sine of 440 Hz at half of full scale."""

    def make(kind="WAV", *, rate=44_100, seconds=0.5, channels=1, hertz=440.0, **options) -> bytes:
        wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
        out = io.BytesIO()
        soundfile.write(out, np.stack([wave] * channels, axis=1), rate, format=kind, **options)
        return out.getvalue()

    return make


@pytest.fixture(scope="session")
def sound_in_container():
    """Return a function that makes a stereo sine in a container that only PyAV reads."""
    import av

    def make(kind="mp4", codec="aac", *, rate=48_000, seconds=1.0) -> bytes:
        out = io.BytesIO()
        with av.open(out, "w", format=kind) as container:
            track = container.add_stream(codec, rate=rate)
            track.layout = "stereo"
            wave = (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
            frame.sample_rate = rate
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
        return out.getvalue()

    return make


@pytest.fixture(scope="session")
def film():
    """Return a function that makes a video file whose frame i is grey of value 6·i."""
    import av

    def make(kind="mp4", codec="mpeg4", *, frames=40, width=32, height=16) -> bytes:
        out = io.BytesIO()
        with av.open(out, "w", format=kind) as container:
            track = container.add_stream(codec, rate=10)
            track.width, track.height, track.pix_fmt = width, height, "yuv420p"
            for i in range(frames):
                grey = np.full((height, width, 3), 6 * i % 256, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                frame.pts = i
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
        return out.getvalue()

    return make


@pytest.fixture(scope="session")
def npy():
    """Return a function that makes a `.npy` file of an array."""

    def make(array, **options) -> bytes:
        out = io.BytesIO()
        np.save(out, array, **options)
        return out.getvalue()

    return make


@pytest.fixture(scope="session")
def cube():
    """Return a function that makes a mesh file of a cube with corners at ±0.5."""

    def make(kind: str) -> bytes:
        trimesh = pytest.importorskip("trimesh")
        data = trimesh.creation.box().export(file_type=kind)
        return data.encode() if isinstance(data, str) else data

    return make


@pytest.fixture(scope="session")
def svg() -> bytes:
    """Return a drawing of 100 × 50 whose left half is red."""
    return SVG
