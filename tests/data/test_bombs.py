"""Small files that would take much: each is refused with a reason, or read within bounds, and never crashes."""

import io
import json
import struct
import tracemalloc
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from polymnia.config import read
from polymnia.data.modality import MODALITIES
from polymnia.data.recognise import recognise
from polymnia.data.rows import MAX_ROWS, read_rows
from polymnia.data.sources.manifest import Manifest
from polymnia.errors import DataError, SettingsError

PIXELS = zlib.compress(bytes(8 * 25))


@pytest.fixture(scope="module")
def zeros() -> bytes:
    """Return 64 MiB in 64 kB."""
    return zlib.compress(bytes(64 * 2**20), 9)


def png(width, height, *chunks) -> bytes:
    """Return a PNG file of these chunks, with right lengths and checksums."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def sound(kind, rate=16_000, seconds=1, level=0.25, **options) -> bytes:
    """Return a sound of one level, which FLAC keeps in next to nothing."""
    import soundfile

    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, 1, format=kind, **options) as file:
        for second in range(seconds):
            file.write(np.full(rate, level * (-1) ** second, np.float32))
    return out.getvalue()


@pytest.mark.parametrize(
    "chunk", [(b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")], ids=lambda chunk: chunk[0].decode()
)
def test_words_in_a_picture_that_unpack_to_much(zeros, chunk):
    data = png(8, 8, (chunk[0], chunk[1] + zeros), (b"IDAT", PIXELS))
    with pytest.raises(DataError, match="is not a readable image"):
        MODALITIES.get("image")().read(data)
    with pytest.raises(DataError, match="of no kind"):
        recognise(data)


def test_pixels_that_unpack_to_more_than_the_header_states_are_left_packed(zeros):
    assert MODALITIES.get("image")().read(png(8, 8, (b"IDAT", zeros))).shape == (8, 8, 3)


@pytest.mark.parametrize("side", [60_000, 2**31 - 1])
def test_a_picture_that_states_more_than_there_may_be(side):
    with pytest.raises(DataError, match=r"pixels|readable"):
        MODALITIES.get("image")().read(png(side, side, (b"IDAT", PIXELS)))


@pytest.mark.parametrize("announced", [0x7FFE0000, 60_000])
def test_a_sound_that_states_hours(announced):
    data = bytearray(sound("WAV", subtype="PCM_16"))
    data[40:44] = announced.to_bytes(4, "little")
    with pytest.raises(DataError, match="is truncated"):
        MODALITIES.get("audio")().read(bytes(data))
    ogg = bytearray(sound("OGG"))
    last = ogg.rfind(b"OggS")
    ogg[last + 6 : last + 14] = (16_000 * 3600 * 1000).to_bytes(8, "little")
    with pytest.raises(DataError):
        MODALITIES.get("audio")().read(bytes(ogg))


def test_hours_of_sound_in_few_bytes():
    data = sound("FLAC", rate=8000, seconds=700)
    assert len(data) < 8000 * 700 * 2 / 20
    with pytest.raises(DataError, match="is longer than 600 seconds"):
        MODALITIES.get("audio")().read(data)


def test_a_high_rate_takes_no_memory_that_the_sound_does_not_need():
    data = sound("FLAC", rate=380_000, seconds=40)
    tracemalloc.start()
    try:
        read = MODALITIES.get("audio")().read(data)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(read) == 40 * 16_000
    assert taken < 40 * 380_000 * 4 / 2, "half of what the sound has at its own rate"


def test_an_array_that_states_terabytes():
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)})
    with pytest.raises(DataError, match="holds 1,099,511,627,776 numbers; the limit is"):
        MODALITIES.get("table")().read(out.getvalue() + bytes(64))
    with pytest.raises(DataError):
        recognise(out.getvalue() + bytes(64))


def parquet(path, rows, value="x") -> Path:
    """Write rows that are all the same, which Parquet keeps once."""
    import pyarrow
    from pyarrow import parquet

    same = pyarrow.array(np.zeros(rows, np.int8))
    columns = {"caption": value, "label": "a"}
    table = {name: pyarrow.DictionaryArray.from_arrays(same, pyarrow.array([cell])) for name, cell in columns.items()}
    parquet.write_table(pyarrow.table(table), path)
    return path


def test_a_parquet_file_of_more_rows_than_there_may_be(tmp_path):
    path = parquet(tmp_path / "m.parquet", MAX_ROWS + 1)
    assert path.stat().st_size < 200_000
    with pytest.raises(DataError, match="has 10,000,001 rows; the limit is 10,000,000"):
        read_rows(path)


def test_a_parquet_file_that_unpacks_to_much(tmp_path):
    path = parquet(tmp_path / "m.parquet", 4200, "x" * 2**20)
    assert path.stat().st_size < 2**20
    with pytest.raises(DataError, match=r"m\.parquet: unpacks to more than 4,294,967,296 bytes"):
        sum(1 for _ in read_rows(path).rows)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deeply_nested_json_is_set_aside(tmp_path, opening):
    good = {"caption": "a cow", "label": "cow"}
    lines = [json.dumps(good), '{"caption": ' + opening * 100_000, json.dumps(good | {"caption": "an ox"})]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    dataset = Manifest(Manifest.Settings(path=str(tmp_path / "m.jsonl"))).load()
    assert len(dataset.samples) == 2
    assert [rejected.id for rejected in dataset.rejected] == ["line 2"] and "is not JSON" in dataset.rejected[0].reason


def test_a_cell_as_deep_as_json_allows_is_set_aside(tmp_path):
    deep = json.dumps({"features": 0, "label": "a"}).replace("0", "[" * 500 + "1" + "]" * 500)
    (tmp_path / "m.jsonl").write_text(deep + "\n" + json.dumps({"features": [1, 2], "label": "b"}))
    dataset = Manifest(Manifest.Settings(path=str(tmp_path / "m.jsonl"))).load()
    assert len(dataset.samples) == 1 and "is not an array" in dataset.rejected[0].reason


def test_settings_whose_aliases_multiply_are_refused(tmp_path):
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for name, before in pairwise("abcdefg"[::-1]):
        lines.insert(1, f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    (tmp_path / "settings.yaml").write_text("\n".join(lines))
    with pytest.raises(SettingsError, match="is not readable as YAML: YAML"):
        read(tmp_path / "settings.yaml")


@pytest.mark.parametrize("through", ["..", "link", "loop", "absolute", "home"])
def test_a_path_that_leaves_the_folder_is_set_aside_where_it_is_confined(tmp_path, through):
    from PIL import Image

    inner, outside = tmp_path / "inner", tmp_path / "outside"
    inner.mkdir()
    outside.mkdir()
    for folder in (inner, outside):
        Image.new("RGB", (4, 4), "red").save(folder / "a.png")
    (inner / "link").symlink_to(outside)
    (inner / "loop").symlink_to(inner / "loop")
    cell = {"..": "../outside/a.png", "link": "link/a.png", "loop": "loop/a.png", "absolute": str(outside / "a.png"),
            "home": "~/a.png"}[through]  # fmt: skip
    (inner / "m.csv").write_text(f"image,label\na.png,a\n{cell},b\n")
    dataset = Manifest(Manifest.Settings(path=str(inner / "m.csv"), inside=True)).load()
    assert len(dataset.samples) == 1 and len(dataset.rejected) == 1
    wanted = {"loop": "cannot read|not a usable path", "home": "there is no such file"}
    why = wanted.get(through, "lies outside the manifest's folder")
    assert any(reason in dataset.rejected[0].reason for reason in why.split("|")), dataset.rejected[0].reason
