import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polymnia.data.modality import MODALITIES, Array, Modality, as_array, content, decoding, digest, file_bytes
from polymnia.errors import DataError, MissingExtra


class Plain(Modality):
    """Arrays as they are."""

    name = "plain"

    def decode(self, data: bytes) -> Array:
        return np.frombuffer(data, dtype=np.uint8)

    def check(self, array: Array) -> Array:
        return array


@st.composite
def columns(draw):
    """Draw a few arrays (T_i, ...) that differ in T alone."""
    tail = draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
    dtype = draw(st.sampled_from([np.float32, np.uint8, np.int64]))
    lengths = draw(st.lists(st.integers(0, 6), min_size=1, max_size=5))
    return [draw(hnp.arrays(dtype, (n, *tail), elements=st.integers(0, 99))) for n in lengths]


@given(columns())
def test_padding_is_recoverable_and_the_mask_counts(values):
    padded, valid = Plain().collate(values)
    longest = max(len(v) for v in values)
    assert padded.shape == (len(values), longest, *values[0].shape[1:])
    assert padded.dtype == values[0].dtype
    assert valid.shape == (len(values), longest)
    assert valid.sum(1).tolist() == [len(v) for v in values]
    assert not padded[~valid].any()
    for row, value in enumerate(values):
        np.testing.assert_array_equal(padded[row][valid[row]], value)


@given(columns(), st.randoms(use_true_random=False))
def test_order_does_not_matter(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    straight, valid = Plain().collate(values)
    mixed, mixed_valid = Plain().collate([values[i] for i in order])
    np.testing.assert_array_equal(mixed, straight[order])
    np.testing.assert_array_equal(mixed_valid, valid[order])


def test_values_that_cannot_stand_side_by_side_are_named():
    with pytest.raises(DataError, match=r"float32 \(\*2\); float32 \(\*3\)"):
        Plain().collate([np.zeros((4, 2), np.float32), np.zeros((4, 3), np.float32)])
    with pytest.raises(DataError, match="different form"):
        Plain().collate([np.zeros((4, 2), np.float32), np.zeros((4, 2), np.uint8)])
    with pytest.raises(DataError, match="no values"):
        Plain().collate([])


def test_the_seven_modalities_are_registered():
    assert MODALITIES.names() == ["audio", "image", "motion", "point-cloud", "table", "text", "video"]
    for name in MODALITIES:
        assert "Limits:" in (MODALITIES.get(name).__doc__ or "")


def test_a_digest_depends_on_content_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(b"same")
    (tmp_path / "b.txt").write_bytes(b"same")
    assert digest(tmp_path / "a.png") == digest(tmp_path / "b.txt") == digest(b"same")
    (tmp_path / "a.png").write_bytes(b"other")
    assert digest(tmp_path / "a.png") == digest(b"other")
    array = np.arange(6).reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array.T.copy().T) == digest(array.tolist())


def test_values_of_different_kind_never_share_a_digest():
    array = np.zeros(2, np.float32)
    values = [
        b"rain", "rain", b"text\0rain", array, array.reshape(2, 1), array.astype(np.float64), array.view(np.int32),
        content(array),
    ]  # fmt: skip
    assert len({digest(value) for value in values}) == len(values)


@given(st.one_of(st.text(max_size=20), st.binary(max_size=20)))
def test_any_text_or_bytes_have_a_digest(value):
    assert len(digest(value)) == 64


def test_files_that_are_none_have_a_reason(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    cases = [
        (tmp_path / "none", "no such file"),
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "not a file"),
        (tmp_path / "loop", "cannot read"),
        (tmp_path / ("x" * 5000), "cannot read"),
        (tmp_path / "a\0b", "null"),
    ]
    for path, reason in cases:
        for use in (lambda p: file_bytes(p, limit=10), digest, Plain().read):
            with pytest.raises(DataError, match=reason):
                use(path)


def test_the_size_of_a_file_is_limited(tmp_path):
    (tmp_path / "a").write_bytes(b"12345678901")
    for value in (tmp_path / "a", b"12345678901"):
        with pytest.raises(DataError, match="has 11 bytes; the limit is 10"):
            file_bytes(value, limit=10)
        assert file_bytes(value, limit=11) == b"12345678901"


@pytest.mark.parametrize("value", [None, object(), {"a": 1}, [1, None], [[1], [1, 2]]])
def test_what_is_no_array_has_a_reason(value):
    with pytest.raises(DataError, match="array"):
        as_array(value)
    with pytest.raises(DataError, match="array"):
        digest(value)


def test_a_decoder_s_error_becomes_a_reason_and_ours_pass_through():
    with pytest.raises(DataError, match="is not a readable thing: first line") as caught, decoding("thing"):
        raise RuntimeError("first line\nsecond line")
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(DataError, match="more memory"), decoding("thing"):
        raise MemoryError
    with pytest.raises(MissingExtra), decoding("thing"):
        raise MissingExtra("a", "b")
    with pytest.raises(DataError, match=r"^mine$"), decoding("thing"):
        raise DataError("mine")
