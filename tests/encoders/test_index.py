import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymnia.encoders.index import Index


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def test_extending_puts_values_one_after_another():
    index = Index(file=1, width=2).extended([digest(0), digest(1)], [2, 3], 7).extended([digest(2)], [4], 8)
    assert index.start.tolist() == [0, 2, 5] and index.length.tolist() == [2, 3, 4]
    assert index.parts.tolist() == [[0, 5, 7], [5, 9, 8]] and index.end == 9
    assert index.rows() == {digest(i): i for i in range(3)}
    assert index.part_of(np.array([0, 1, 2])).tolist() == [0, 0, 1]


def test_leaving_out_a_part_keeps_its_place_taken():
    index = Index(file=1, width=2).extended([digest(0)], [2], 7).extended([digest(1)], [3], 8).without(np.array([0]))
    assert list(index.rows()) == [digest(1)] and index.start.tolist() == [2]
    assert index.end == 5 and index.parts.tolist() == [[0, 2, -1], [2, 5, 8]]


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), max_size=4))
def test_packing_and_unpacking_gives_the_same_index(fills):
    index, number = Index(file=3, width=2), 0
    for lengths in fills:
        index = index.extended([digest(number + i) for i in range(len(lengths))], lengths, 1)
        number += len(lengths)
    back = Index.unpack(index.pack())
    assert (back.file, back.width, back.rows()) == (index.file, index.width, index.rows())
    for name in ("digests", "start", "length", "parts"):
        assert np.array_equal(getattr(back, name), getattr(index, name))


@given(st.data())
def test_any_flipped_byte_is_noticed(data):
    packed = bytearray(Index(file=1, width=2).extended([digest(0), digest(1)], [2, 3], 7).pack())
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="checksum"):
        Index.unpack(bytes(packed))


def test_another_format_is_noticed():
    body = b"something else"
    with pytest.raises(ValueError, match="another format"):
        Index.unpack(hashlib.sha256(body).digest() + body)
