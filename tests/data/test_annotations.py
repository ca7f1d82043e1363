"""Lists and media of annotated sets: what is read, what is refused and why."""

import json

import pytest

from polymnia.data.annotations import Media, file_in, json_rows, list_files, name_in, read_json, understood, words
from polymnia.data.rows import Row
from polymnia.errors import DataError


def test_names_that_come_first_win_and_folders_are_searched(tmp_path):
    for name in ("annotations/a.json", "b.json", "dataset/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("[]")
    found = list_files(tmp_path, {"one": ("a.json", "b.json"), "two": ("c.csv",), "three": ("d.csv",)})
    assert found == {"one": tmp_path / "annotations" / "a.json", "two": tmp_path / "dataset" / "c.csv"}


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"", r"is empty \(0 bytes\)"), (b"{", "is not JSON: Expecting"), (b'"\xe9"', "is not UTF-8 .byte 0xe9 at 1"),
     (b"[" * 10**5, "is not JSON: "), (b"9" * 5000, "is not JSON: ")],
    ids=["empty", "cut", "latin", "deep", "number"],
)  # fmt: skip
def test_what_is_not_json_is_told_with_the_file(tmp_path, data, told):
    path = tmp_path / "list.json"
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"list\.json {told}"):
        read_json(path)


def test_a_byte_order_mark_is_no_part_of_json(tmp_path):
    path = tmp_path / "list.json"
    path.write_text("\ufeff" + json.dumps({"all": [{"a": 1}, 2]}), encoding="utf-8")
    assert list(json_rows(path, "all")) == [
        Row("all 1", {"a": 1}), Row("all 2", {}, "is a JSON int; an object is needed"),
    ]  # fmt: skip
    with pytest.raises(DataError, match="holds a JSON dict; a list of objects is needed"):
        list(json_rows(path))
    with pytest.raises(DataError, match="an object with a list 'some' is needed"):
        list(json_rows(path, "some"))


def test_rows_that_are_not_understood_go_with_place_and_cells(tmp_path):
    left = []
    rows = [Row("line 2", {"id": 1}), Row("line 3", {"id": None}), Row("line 4", broken="is cut")]
    assert understood(rows, lambda c: name_in(c, "id"), path=tmp_path / "x.csv", left=left) == ["1"]
    assert [(r.id, r.value, r.reason) for r in left] == [
        ("x.csv line 3", "id=None", "has no id"), ("x.csv line 4", "", "is cut"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad", ["../x", "a/b", "a\\b", ".", "..", "", " ", None, True, 1.5, [], "a\x00", "\ud800", "é" * 200]
)
def test_no_such_name_of_a_file(bad):
    with pytest.raises(DataError, match=r"has (no|a) n"):
        file_in({"n": bad}, "n")


@pytest.mark.parametrize("good", ["-4wsuPCjDBc_5_15", "a [1] (2).wav", "été.jpg", "#1 ~$.ogg", 12, "...x"])
def test_names_of_files_may_be_strange(good):
    assert file_in({"n": good}, "n") == str(good)


@pytest.mark.parametrize(
    ("text", "plain"), [("a\tb\r\n c", "a b c"), ("a\u200bb", "a b"), ("\ud800", ""), ("ok 👍", "ok 👍")]
)
def test_words_are_on_one_line_and_can_be_written(text, plain):
    assert words(text) == plain
    assert words(text).encode().decode() == plain


def test_media_are_those_of_the_kind_in_the_folders(tmp_path):
    for name in ("one/a.jpg", "one/b.txt", "two/a.png", "two/c.PNG", "far/d.jpg", "a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    media = Media(tmp_path, ("none", "one", "two"), "image")
    assert media.find("a") == tmp_path / "one" / "a.jpg" and media.find("a.png") == tmp_path / "two" / "a.png"
    assert media.find("x", "c") == tmp_path / "two" / "c.PNG"
    assert media.find("d") == tmp_path / "one" / "d", "where it should be, and is not"
    assert "b.txt" not in media.files, "texts are no pictures"
    assert Media(tmp_path, ("one",), "image", given="far").find("d") == tmp_path / "far" / "d.jpg"
    with pytest.raises(DataError, match=r"stream\.media: .*gone is not a folder"):
        Media(tmp_path, ("one",), "image", given="gone")
