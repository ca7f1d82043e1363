"""Small files of every kind that the product reads: real stamps where they are on this machine, else made ones."""

import io
import json
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

COW = "usr/share/tuxpaint/stamps/animals/mammals/bovines/cow"
SIDE = 96
"""Longer side of the pictures, in pixels."""
SECONDS = 1.0
"""Of the sounds."""
ROWS = 6
"""Of the manifests."""


@dataclass(frozen=True)
class Original:
    """A sound file of one kind, and how many damaged ones are made of it.

    Parameters
    ----------
    name : str
        Of the form: "PNG".
    reader : str
        A modality, or "manifest", "settings", "archive".
    suffix : str
        Ending of its name.
    data : bytes
        Its content.
    cases : int
        How many of 10,000.
    words : bool
        Whether it is text.
    """

    name: str
    reader: str
    suffix: str
    data: bytes
    cases: int
    words: bool = False


def originals() -> tuple[str, list[Original]]:
    """Return where pictures, sounds and words come from, and a file of every kind."""
    origin, picture, sound, rate, words = _material()
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="50"><title>{words[:60]}</title>' \
              '<g transform="rotate(5)"><rect width="50%" height="100%" fill="red"/></g></svg>'  # fmt: skip
    numbers = _wine()
    table = "\n".join(",".join(f"{x:g}" for x in row) for row in numbers)
    made = [
        *(Original(kind, "image", suffix, _picture(picture, kind), cases) for kind, suffix, cases in (
            ("PNG", ".png", 1000), ("JPEG", ".jpg", 900), ("GIF", ".gif", 300), ("BMP", ".bmp", 200),
            ("WEBP", ".webp", 400), ("TIFF", ".tif", 500), ("PPM", ".ppm", 200))),
        Original("SVG", "image", ".svg", drawing.encode(), 100, words=True),
        *(Original(kind, "audio", suffix, _sound(sound, rate, kind), cases) for kind, suffix, cases in (
            ("WAV", ".wav", 900), ("OGG", ".ogg", 900), ("FLAC", ".flac", 350), ("MP3", ".mp3", 300))),
        Original("M4A", "audio", ".m4a", _m4a(sound, rate), 300),
        Original("MP4", "video", ".mp4", _film(picture), 250),
        Original("NPY", "table", ".npy", _npy(numbers), 700),
        Original("CSV of numbers", "table", ".csv", table.encode(), 500, words=True),
        Original("PLY", "point-cloud", ".ply", _cube("ply"), 150),
        Original("OBJ", "point-cloud", ".obj", _cube("obj"), 150, words=True),
        Original("text", "text", ".txt", words.encode(), 200, words=True),
        *(Original(f"manifest, {name}", "manifest", suffix, data, 400, words=name != "Parquet")
          for name, suffix, data in _manifests(words, numbers, _picture(picture, "JPEG"))),
        Original("settings, YAML", "settings", ".yaml", SETTINGS.encode(), 200, words=True),
        Original("archive, zip", "archive", ".zip", _zip(words), 150),
        Original("archive, tar.gz", "archive", ".tar.gz", _tar(words), 150),
    ]  # fmt: skip
    return origin, made


SETTINGS = """stream:
  name: manifest
  path: data.csv
  label: label
  kinds: {caption: text}
"""


def beside(folder: Path, made: list[Original]) -> None:
    """Write what the manifests name."""
    held = {original.name: original.data for original in made}
    for number in range(ROWS):
        (folder / f"{number}.png").write_bytes(held["PNG"])
    (folder / "data.csv").write_bytes(held["manifest, CSV"])


def _material() -> tuple[str, Any, np.ndarray, int, str]:
    """Return the origin, a picture, a sound with its rate, and words."""
    import soundfile
    from PIL import Image

    from polymnia.data.fetch import data_folder

    stem = data_folder("stamps") / COW
    if stem.with_suffix(".png").is_file():
        picture = Image.open(stem.with_suffix(".png")).convert("RGBA")
        sound, rate = soundfile.read(stem.with_suffix(".ogg"), dtype="float32", always_2d=True)
        origin, words = "stamps", stem.with_suffix(".txt").read_text()
    else:
        wave, rate = np.sin(np.arange(16_000) / 8)[:, None].astype(np.float32) / 2, 16_000
        across = np.linspace(0, 255, SIDE).astype(np.uint8)
        origin, words, sound = "made", "A cow.\nfr.utf8=Une vache laitière.\nel.utf8=Μια αγελάδα.\n", wave
        picture = Image.fromarray(np.dstack([*np.meshgrid(across, across[::-1]), np.full((SIDE, SIDE), 90, np.uint8)]))
    picture.thumbnail((SIDE, SIDE))
    return origin, picture, sound.mean(1)[: round(SECONDS * rate)], rate, words


def _picture(picture: Any, kind: str) -> bytes:
    out = io.BytesIO()
    (picture if kind in ("PNG", "WEBP", "TIFF") else picture.convert("RGB")).save(out, kind)
    return out.getvalue()


def _sound(sound: np.ndarray, rate: int, kind: str) -> bytes:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, sound, rate, format=kind)
    return out.getvalue()


def _m4a(sound: np.ndarray, rate: int) -> bytes:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        track = container.add_stream("aac", rate=rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound)[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return out.getvalue()


def _film(picture: Any) -> bytes:
    import av

    out, still = io.BytesIO(), np.asarray(picture.convert("RGB").resize((64, 48)))
    with av.open(out, "w", format="mp4") as container:
        track = container.add_stream("mpeg4", rate=10)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.roll(still, 2 * number, axis=1)), format="rgb24")
            frame.pts = number
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return out.getvalue()


def _wine() -> np.ndarray:
    from sklearn.datasets import load_wine

    return load_wine().data[:24]


def _npy(numbers: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, numbers)
    return out.getvalue()


def _cube(kind: str) -> bytes:
    import trimesh

    data = trimesh.creation.box().export(file_type=kind)
    return data.encode() if isinstance(data, str) else data


def _manifests(words: str, numbers: np.ndarray, picture: bytes) -> list[tuple[str, str, bytes]]:
    import pyarrow
    from pyarrow import parquet

    lines = [line.partition("=")[2] or line for line in words.splitlines()]
    rows = [
        {"id": f"cow-{n}", "image": f"{n}.png", "caption": lines[n % len(lines)] or "A cow.",
         "features": numbers[n, :4].tolist(), "label": ("cow", "ox")[n % 2]} for n in range(ROWS)
    ]  # fmt: skip
    cells = [[row["id"], row["image"], '"' + row["caption"].replace('"', "'") + '"', row["label"]] for row in rows]
    csv = "\n".join([",".join(line) for line in [["id", "image", "caption", "label"], *cells]])
    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([row | {"image": picture} for row in rows]), out)
    jsonl = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return [
        ("CSV", ".csv", csv.encode()),
        ("JSON Lines", ".jsonl", jsonl.encode()),
        ("Parquet", ".parquet", out.getvalue()),
    ]


def _zip(words: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/cow.txt", "a/b/ox.txt"):
            archive.writestr(name, words)
    return out.getvalue()


def _tar(words: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in ("a/cow.txt", "a/b/ox.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = len(words.encode())
            archive.addfile(entry, io.BytesIO(words.encode()))
    return out.getvalue()
