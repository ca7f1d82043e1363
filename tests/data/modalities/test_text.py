import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymnia.data.modalities.text import Text
from polymnia.errors import DataError


def test_text_is_normalised_and_stripped():
    assert Text().read("  cafe\u0301\n") == "café"


def test_a_file_is_read_as_utf8_with_or_without_a_mark(tmp_path):
    for name, data in [("a.txt", "été\n".encode()), ("b.txt", b"\xef\xbb\xbf" + "été".encode())]:
        (tmp_path / name).write_bytes(data)
        assert Text().read(tmp_path / name) == "été"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "is empty"),
        (" \n\t", "white space"),
        (b"", "empty"),
        (b"one\ntw\xff", r"line 2\) is 0xff"),
        ("a\0b", r"U\+0000"),
        ("a\ud800", r"U\+D800"),
        ("a" * 100_001, "limit is 100,000"),
        (np.zeros(3), "text is a string"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_text_has_a_reason(value, reason):
    with pytest.raises(DataError, match=reason):
        Text().read(value)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_any_text_is_read_or_refused_and_padding_is_recoverable(texts):
    read = []
    for text in texts:
        try:
            read.append(Text().read(text))
        except DataError:
            continue
    if read:
        padded, valid = Text().collate(read)
        assert valid.sum(1).tolist() == [len(text) for text in read]
        assert ["".join(map(chr, row[mask])) for row, mask in zip(padded, valid, strict=True)] == read


@given(st.text(max_size=40))
def test_reading_twice_changes_nothing(text):
    try:
        once = Text().read(text)
    except DataError:
        return
    assert Text().read(once) == once
    assert Text().read(once.encode()) == once
