"""Damaged and hostile manifests: samples, rows set aside with their reasons, or a refusal; never anything else."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from polymnia.data.check import check
from polymnia.data.own import source_asked_for, source_of
from polymnia.errors import DataError, PolymniaError

WITHIN = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
COLUMNS = ("id", "image", "caption", "features", "label", "split")
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["cow", "train", "../a.png", "/etc/passwd", "a.png", "nan", "9e99", "\0", "\u202e", '"', "x" * 99]),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(COLUMNS), VALUES, max_size=6), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a picture, beside which manifests are written."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("damaged")
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(folder / "a.png")
    return folder


def looked_through(path) -> str:
    """Return what became of a manifest; anything but samples and reasons is another exception, and fails the test."""
    try:
        found = check(source_of(source_asked_for(str(path))))
    except PolymniaError as error:
        assert str(error).strip()
        return "refused"
    assert found.samples >= 0 and all(rejected.reason.strip() for rejected in found.rejected)
    json.dumps(found.to_json(), default=str)
    return "set aside" if found.rejected else "read"


@WITHIN
@given(rows=ROWS, whole=st.booleans())
@example(rows=[{"features": [[1], [2, 3]], "label": "a"}], whole=True)
@example(rows=[{"caption": "\ud800", "label": "a"}, {"caption": "b", "label": "\ud800"}], whole=False)
@example(rows=[{"caption": "a", "label": {"a": 1}}, {"features": [10**400], "label": 10**400}], whole=True)
def test_json_lines_of_anything(folder, rows, whole):
    names = dict.fromkeys(COLUMNS) if whole else {}
    path = folder / "any.jsonl"
    path.write_text("".join(json.dumps(names | row) + "\n" for row in rows))
    looked_through(path)


@WITHIN
@given(head=st.permutations(COLUMNS), cells=st.lists(st.lists(TEXTS, min_size=4, max_size=7), max_size=4))
def test_csv_of_anything(folder, head, cells):
    path = folder / "any.csv"
    path.write_text("\n".join(",".join(line) for line in [head, *cells]), errors="replace")
    looked_through(path)


@pytest.fixture(scope="module")
def sound(folder):
    """Return by ending a manifest of three rows, and a settings file that names one."""
    import pyarrow
    from pyarrow import parquet

    rows = [{"id": f"{n}", "image": "a.png", "caption": f"cow {n}", "label": "ab"[n % 2]} for n in range(3)]
    head = [",".join(rows[0])]
    (folder / "m.csv").write_text("\n".join(head + [",".join(row.values()) for row in rows]))
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "m.parquet")
    (folder / "m.yaml").write_text(
        f"stream:\n  name: manifest\n  path: {folder / 'm.csv'}\n  kinds: {{caption: text}}\n"
    )
    return {suffix: (folder / f"m{suffix}").read_bytes() for suffix in (".csv", ".jsonl", ".parquet", ".yaml")}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".yaml"])
@WITHIN
@given(data=st.data())
def test_flipped_bytes(folder, sound, suffix, data):
    held = bytearray(sound[suffix])
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(held) - 1), st.integers(0, 255)), max_size=6)):
        held[at] = byte
    cut = data.draw(st.integers(0, len(held)))
    path = folder / f"flipped{suffix}"
    path.write_bytes(held[: cut or None])
    looked_through(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".yaml"])
def test_the_undamaged_ones_are_read(folder, sound, suffix):
    assert looked_through(folder / f"m{suffix}") == "read"


@pytest.mark.parametrize("section", ["", " []", " 5", " [manifest]"])
def test_settings_whose_stream_is_nothing_like_it_are_refused(tmp_path, section):
    (tmp_path / "settings.yaml").write_text(f"stream:{section}\n")
    with pytest.raises(PolymniaError, match="stream"):
        source_asked_for(str(tmp_path / "settings.yaml"))


def test_a_parquet_file_with_a_name_that_is_not_utf_8_is_refused(folder, sound):
    path = folder / "name.parquet"
    path.write_bytes(sound[".parquet"].replace(b"caption", b"capt\xedon"))
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        check(source_of(source_asked_for(str(path))))
