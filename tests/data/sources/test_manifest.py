import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from polymnia.config import typed
from polymnia.data.manifest import SPLITS
from polymnia.data.modality import MODALITIES
from polymnia.data.scenario import SCENARIOS, cut
from polymnia.data.sources.manifest import Manifest
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DataError, SettingsError


def load(path, **settings):
    return Manifest(typed(Manifest.Settings, {"path": str(path), **settings}, where="stream")).load()


def reasons(dataset) -> dict[str, str]:
    return {r.id: r.reason for r in dataset.rejected}


def as_csv(rows, mark=",") -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=mark)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write(path, rows) -> None:
    """Write rows in the form that the path's ending asks for."""
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist([{k: v or None for k, v in row.items()} for row in rows]), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    else:
        path.write_text(as_csv(rows, "\t" if path.suffix == ".tsv" else ","), encoding="utf-8")


@pytest.fixture
def rows(tmp_path):
    """Return six rows over image and caption, whose files exist; two lack one modality."""
    made = []
    for i in range(6):
        Pillow.new("RGB", (4, 3), (40 * i, 0, 0)).save(tmp_path / f"{i}.png")
        made.append(
            {
                "id": f"s{i}",
                "image": "" if i == 4 else f"{i}.png",
                "caption": "" if i == 5 else f"a caption, with “marks”; number {i}",
                "label": "cat" if i % 2 else "dog",
                "split": "test" if i > 3 else "train",
                "group": f"g{i // 2}",
            }
        )
    return made


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.jsonl", "m.parquet"])
def test_every_format_gives_the_same_samples(tmp_path, rows, name):
    write(tmp_path / name, rows)
    dataset = load(tmp_path / name)
    samples = dataset.samples
    assert dataset.kinds == {"image": "image", "caption": "text"}
    assert dataset.class_names == ("cat", "dog")
    assert dataset.rejected == ()
    assert samples.ids.tolist() == [f"s{i}" for i in range(6)]
    assert samples.targets.tolist() == [1, 0, 1, 0, 1, 0]
    assert samples.present["image"].tolist() == [True, True, True, True, False, True]
    assert samples.present["caption"].tolist() == [True] * 5 + [False]
    assert samples[2].values["caption"] == "a caption, with “marks”; number 2"
    assert MODALITIES.get("image")().read(samples[3].values["image"])[0, 0].tolist() == [120, 0, 0]
    assert samples.columns["split"].tolist() == ["train"] * 4 + ["test"] * 2
    assert samples.columns["group"].tolist() == ["g0", "g0", "g1", "g1", "g2", "g2"]
    assert samples.columns["label"].tolist() == ["dog", "cat"] * 3


def test_semicolons_and_a_byte_order_mark(tmp_path, rows):
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbf" + as_csv(rows, ";").encode())
    assert len(load(tmp_path / "m.csv").samples) == 6


def test_another_encoding_is_an_error_that_names_the_line(tmp_path):
    (tmp_path / "m.csv").write_bytes("caption,label\nun,a\nété,b\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"m\.csv: line 3 is not UTF-8"):
        load(tmp_path / "m.csv")


BREAKAGES = {
    "label": "has no label",
    "missing": "no such file",
    "folder": "it is not a file",
    "address": "is an address",
    "empty": "has no modality",
    "twice": "of an earlier row",
    "split": "has split 'holdout'",
}


@pytest.mark.parametrize("share", [0.01, 0.6])
@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet"])
def test_broken_rows_are_set_aside_with_a_reason_and_none_is_lost(tmp_path, share, name):
    (tmp_path / "a.png").write_bytes(b"any")
    (tmp_path / "folder").mkdir()
    total, broken = 200, int(200 * share)
    kinds = list(BREAKAGES)
    rows = []
    for i in range(total):
        row = {"id": f"s{i}", "image": "a.png", "label": f"c{i % 3}", "split": "train"}
        kind = kinds[i % len(kinds)] if i >= total - broken else ""
        change = {
            "label": {"label": ""}, "missing": {"image": "none.png"}, "folder": {"image": "folder"},
            "address": {"image": "https://example.org/a.png"}, "empty": {"image": ""}, "twice": {"id": "s0"},
            "split": {"split": "holdout"}, "": {},
        }[kind]  # fmt: skip
        rows.append(row | change)
    write(tmp_path / name, rows)
    dataset = load(tmp_path / name)
    assert len(dataset.rejected) == broken
    assert len(dataset.samples) == total - broken
    for i, rejected in zip(range(total - broken, total), dataset.rejected, strict=True):
        kind = kinds[i % len(kinds)]
        assert rejected.id == ("s0" if kind == "twice" else f"s{i}")
        assert BREAKAGES[kind] in rejected.reason
        assert rejected.modality == ("image" if kind in ("missing", "folder", "address") else "")


def test_rows_that_are_no_rows_of_csv_are_set_aside_by_line(tmp_path):
    text = 'caption,label\none,a\ntwo,b,c\nthree\n"fo"ur,a\n\n"fi\nve",b\n"si""x",a\n'
    (tmp_path / "m.csv").write_text(text)
    dataset = load(tmp_path / "m.csv")
    assert dataset.samples.ids.tolist() == ["line 2", "lines 7 to 8", "line 9"]
    assert [dataset.samples[i].values["caption"] for i in range(3)] == ["one", "fi\nve", 'si"x']
    assert reasons(dataset) == {
        "line 3": "has 3 cells; there are 2 columns",
        "line 4": "has 1 cells; there are 2 columns",
        "line 5": "is not a row of CSV: ',' expected after '\"'",
    }


def test_a_quote_that_is_never_closed_cannot_swallow_the_rest(tmp_path):
    (tmp_path / "m.csv").write_text('caption,label\none,a\n"two,b\nthree,a\n')
    with pytest.raises(DataError, match=r"m\.csv: line 3: a quoted cell that begins here is never closed"):
        load(tmp_path / "m.csv")


def test_lines_that_are_no_json_object_are_set_aside(tmp_path):
    lines = ['{"caption": "one", "label": 3}', "{", "[1]", '"x"', "[" * 100_000, "", '{"caption": "two", "label": 10}']
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    dataset = load(tmp_path / "m.jsonl")
    assert dataset.class_names == ("3", "10")  # whole numbers in their own order
    assert [r.id for r in dataset.rejected] == ["line 2", "line 3", "line 4", "line 5"]
    assert reasons(dataset)["line 3"] == "is a JSON list; an object is needed"


def test_ready_numbers_with_nan_or_wrong_type_are_set_aside_on_the_way(tmp_path):
    rows = [{"id": f"s{i}", "features": [float(i), 1.0, 2.0], "label": "ab"[i % 2]} for i in range(40)]
    rows[3]["features"] = [1.0, float("nan"), 2.0]
    rows[5]["features"] = ["x", "y", "z"]
    rows[7]["features"] = 5
    rows[9]["features"] = [1.0, None, 2.0]
    rows[11]["features"] = [1.0, 2.0]
    rows[13]["features"] = [[1.0], [2.0, 3.0]]
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    source = Manifest(Manifest.Settings(path=str(tmp_path / "m.jsonl")))
    at_once = reasons(source.load())
    assert set(at_once) == {"s7", "s9", "s13"}
    stream = cut(source, SCENARIOS.get("class-incremental")(_stages(2)))
    encoded = encode_stream(stream, {"features": ENCODERS.get("identity")()}, max_rejected=0.5)
    said = {r.id: r.reason for r in encoded.rejected}
    assert set(said) == {"s3", "s5", "s7", "s9", "s11", "s13"}
    assert "NaN" in said["s3"]
    assert "dtype" in said["s5"]
    assert "of type int" in said["s7"]
    assert (
        len(encoded.rejected) + sum(len(getattr(s, part)) for s in encoded for part in ("train", "valid", "test")) == 40
    )


def _stages(count):
    return SCENARIOS.get("class-incremental").Settings(stages=count)


def test_parquet_may_hold_bytes_and_lists(tmp_path):
    import pyarrow
    from pyarrow import parquet

    out = io.BytesIO()
    Pillow.new("RGB", (5, 2), (1, 2, 3)).save(out, "PNG")
    table = {"photo": [out.getvalue(), None], "imu": [None, [[0.5, 1.5]]], "label": [1.0, 2.0]}
    parquet.write_table(pyarrow.table(table), tmp_path / "m.parquet")
    dataset = load(tmp_path / "m.parquet")
    assert dataset.kinds == {"photo": "image", "imu": "motion"}
    assert dataset.class_names == ("1", "2")
    assert MODALITIES.get("image")().read(dataset.samples[0].values["photo"]).shape == (2, 5, 3)
    np.testing.assert_array_equal(dataset.samples[1].values["imu"], [[0.5, 1.5]])


def test_a_damaged_parquet_file_is_named(tmp_path, rows):
    write(tmp_path / "m.parquet", rows)
    data = (tmp_path / "m.parquet").read_bytes()
    random = np.random.default_rng(0)
    for case in range(40):
        damaged = bytearray(data)
        damaged[random.integers(len(data))] ^= 1 << random.integers(8)
        (tmp_path / "d.parquet").write_bytes(damaged[: None if case % 2 else random.integers(len(data))])
        try:
            dataset = load(tmp_path / "d.parquet")
        except DataError as error:
            assert "d.parquet" in str(error)
        else:
            assert len(dataset.samples) + len(dataset.rejected) == 6


def test_paths_may_be_absolute_and_may_be_confined(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    for folder in (tmp_path, inner):
        (folder / "a.png").write_bytes(b"any")
    (inner / "door.png").symlink_to(tmp_path / "a.png")
    cells = ["a.png", "../a.png", str(tmp_path / "a.png"), "door.png", "../inner/a.png"]
    write(inner / "m.csv", [{"id": cell, "image": cell, "label": "x"} for cell in cells])
    assert len(load(inner / "m.csv").samples) == 5
    confined = load(inner / "m.csv", inside=True)
    assert confined.samples.ids.tolist() == ["a.png", "../inner/a.png"]
    assert {r.reason for r in confined.rejected} == {"lies outside the manifest's folder, and `inside` is set"}


def test_paths_that_cannot_be_are_set_aside(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    cells = ["a\0b", "x" * 5000, "loop"]
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps({"image": c, "label": "x"}) for c in [*cells, "m.jsonl"]))
    dataset = load(tmp_path / "m.jsonl")
    assert [r.id for r in dataset.rejected] == ["line 1", "line 2", "line 3"]


def test_columns_of_any_name_given_their_kind(tmp_path):
    (tmp_path / "n.txt").write_text("from a file")
    write(tmp_path / "m.csv", [{"front": "m.csv", "notes": "n.txt", "room": "kitchen", "class": "x"}])
    dataset = load(
        tmp_path / "m.csv",
        kinds={"front": "image", "notes": "text"},
        text_paths=["notes"],
        columns=["room"],
        label="class",
    )
    assert dataset.kinds == {"front": "image", "notes": "text"}
    assert dataset.samples.columns["room"].tolist() == ["kitchen"]
    assert MODALITIES.get("text")().read(dataset.samples[0].values["notes"]) == "from a file"


@pytest.mark.parametrize(
    ("text", "settings", "reason"),
    [
        ("caption,lable\na,b\n", {}, r"no column 'label'.*Did you mean label='lable'"),
        ("imgae,label\na,b\n", {}, r"column 'imgae' is neither.*Did you mean 'image'.*kinds=\{imgae: image\}"),
        ("caption,label\na,b\n", {"kinds": {"captoin": "text"}}, r"no column 'captoin'. Did you mean 'caption'"),
        ("front,label\na,b\n", {"kinds": {"front": "imge"}}, r"no such kind of signal: 'imge'. Did you mean 'image'"),
        ("caption,label\n", {}, "no usable row"),
        ("caption,label\na,\nb,\n", {}, r"no usable row \(2 set aside\). First: line 2: has no label"),
        ("split,label\ntrain,b\n", {}, "no column for a modality"),
        ("caption,caption,label\na,b,c\n", {}, "several columns called 'caption'"),
        ("caption,,label\na,b,c\n", {}, "must name every column"),
        ("\n\n", {}, "must name every column"),
        ("", {}, "empty"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(tmp_path, text, settings, reason):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        load(tmp_path / "m.csv", **settings)
    assert str(tmp_path / "m.csv") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("m.xlsx", "x", "accepted: .csv, .tsv, .jsonl"),
        ("m.jsonl", "{\n[1]\n", "no line is a JSON object"),
        ("m.jsonl", '{"caption": "a"}\n', "no column 'label'"),
        ("m.parquet", "no parquet", "not a readable Parquet file"),
    ],
)
def test_files_of_another_kind_say_why(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=reason):
        load(tmp_path / name)


def test_a_manifest_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "none.csv")
    with pytest.raises(DataError, match="folder"):
        (tmp_path / "folder.csv").mkdir()
        load(tmp_path / "folder.csv")
    with pytest.raises(SettingsError, match=r"stream\.path is missing"):
        typed(Manifest.Settings, {}, where="stream")


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=4)), min_size=1, max_size=12))
def test_every_row_of_any_json_is_a_sample_or_rejected(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("m") / "m.jsonl"
    path.write_text("\n".join(json.dumps({"caption": caption, "label": label}) for caption, label in cells))
    usable = [bool(caption.strip() and label.strip()) for caption, label in cells]
    if not any(usable):
        with pytest.raises(DataError, match="no usable row"):
            load(path)
        return
    dataset = load(path)
    assert len(dataset.samples) == sum(usable)
    assert len(dataset.rejected) == len(cells) - sum(usable)


def test_split_names_have_synonyms(tmp_path):
    write(tmp_path / "m.csv", [{"caption": "x", "label": "a", "split": name} for name in [*SPLITS, "Train", ""]])
    assert load(tmp_path / "m.csv").samples.columns["split"].tolist() == [*SPLITS.values(), "train", ""]
