"""Real encoded clips, small ones, that the tests of published sets lay out as these sets are handed out."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def write_clip():
    """Return a function that writes a film of some grey with a tone: ``write_clip(path, grey=90, hertz=440)``.

    MPEG-4 and AAC in an MP4, MPEG-4 and MP3 in an AVI, by the path's ending; `hertz=None` leaves the sound out.
    """
    import av

    def make(path, *, grey=90, hertz: float | None = 440.0, seconds=0.5, rate=16_000):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            pictures = container.add_stream("mpeg4", rate=8)
            pictures.width, pictures.height, pictures.pix_fmt = 32, 16, "yuv420p"
            sound = container.add_stream("aac" if path.suffix == ".mp4" else "mp3", rate=rate) if hertz else None
            if sound is not None:
                sound.layout = "mono"
            for i in range(round(8 * seconds)):
                frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), grey, np.uint8), format="rgb24")
                frame.pts = i
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
            if sound is not None:
                wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
                frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
                frame.sample_rate = rate
                container.mux(sound.encode(frame))
                container.mux(sound.encode(None))
        return path

    return make


@pytest.fixture(scope="session")
def write_sound():
    """Return a function that writes a tone as WAV: ``write_sound(path, hertz=440)``."""
    import soundfile

    def make(path, *, hertz=440.0, seconds=0.5, rate=16_000):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate), rate)
        return path

    return make
