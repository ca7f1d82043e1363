"""Things that can be seen and heard: coloured pictures, tones, films, and what they are called."""

import io
import json

import av
import numpy as np
import soundfile
from PIL import Image

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 40), "blue": (30, 60, 200)}
HERTZ = {"red": 220, "green": 440, "blue": 880}


def picture(label, seed=0, kind="PNG") -> bytes:
    """Return a file of a picture that is mostly of one colour."""
    noise = np.random.default_rng(seed).normal(0, 12, (48, 64, 3))
    held = io.BytesIO()
    Image.fromarray(np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)).save(held, kind)
    return held.getvalue()


def sound(label, seed=0, kind="WAV") -> bytes:
    """Return a file of half a second of a tone."""
    noise = np.random.default_rng(seed).normal(0, 0.01, 8000)
    held = io.BytesIO()
    wave = 0.3 * np.sin(2 * np.pi * HERTZ[label] * np.arange(8000) / 16_000)
    soundfile.write(held, (wave + noise).astype(np.float32), 16_000, format=kind)
    return held.getvalue()


def film(label, kind="webm", codec="libvpx") -> bytes:
    """Return a file of a second of one colour."""
    held = io.BytesIO()
    with av.open(held, "w", format=kind) as container:
        track = container.add_stream(codec, rate=8)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for _ in range(8):
            pixels = np.full((48, 64, 3), COLOURS[label], np.uint8)
            container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(track.encode(None))
    return held.getvalue()


def manifest(folder, name, labels, each=6):
    """Write files with a manifest, some of them in other formats than the others, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for label in labels:
        for n in range(each):
            stem = f"{name}-{label}-{n}"
            heard = f"{stem}.{('wav', 'ogg', 'aiff')[n % 3]}"
            (folder / f"{stem}.png").write_bytes(picture(label, n))
            (folder / heard).write_bytes(sound(label, n, heard.rpartition(".")[2].upper()))
            row = {"id": stem, "image": f"{stem}.png", "audio": heard, "label": label}
            if n < 2:
                row["video"] = f"{stem}.film"
                made = film(label) if n == 0 else film(label, "matroska", "mpeg4")
                (folder / row["video"]).write_bytes(made)
            rows.append({**row, "text": f"something {label}, {n}", "split": "test" if n % 3 == 0 else "train"})
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
