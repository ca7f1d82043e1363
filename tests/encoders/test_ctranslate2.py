import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.encoders.ctranslate2 import read_ctranslate2
from polymnia.errors import DataError

TYPES = {np.float32: 0, np.int8: 1, np.int16: 2, np.int32: 3, np.float16: 4}


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def variable(name: str, values: np.ndarray) -> bytes:
    head = struct.pack(f"<B{values.ndim}IB", values.ndim, *values.shape, TYPES[values.dtype.type])
    return text(name) + head + struct.pack("<I", values.nbytes) + values.tobytes()


VARIABLES = {
    "a/weight": np.arange(6, dtype=np.float16).reshape(2, 3),
    "a/bias": np.array([1.5, -2], np.float32),
    "heads": np.array(8, np.int16),
    "flag": np.array(1, np.int8),
}


def packed(variables=VARIABLES, *, version=6, aliases=(("b/weight", "a/weight"),), behind=b"") -> bytes:
    body = b"".join(variable(name, values) for name, values in variables.items())
    last = struct.pack("<I", len(aliases)) + b"".join(text(one) + text(two) for one, two in aliases)
    return struct.pack("<I", version) + text("Spec") + struct.pack("<II", 3, len(variables)) + body + last + behind


def test_every_variable_and_alias_comes_out():
    model = read_ctranslate2(packed(), name="model.bin")
    assert (model.spec, model.revision, set(model.variables)) == ("Spec", 3, set(VARIABLES))
    for name, values in VARIABLES.items():
        assert torch.equal(model[name], torch.from_numpy(values)) and model[name].shape == values.shape
    assert torch.equal(model["b/weight"], model["a/weight"])
    with pytest.raises(DataError, match="has no variable 'c', among 4"):
        model["c"]


def test_bfloat16_is_read():
    body = text("x") + struct.pack("<BIBI", 1, 2, 5, 4) + bytes([0x80, 0x3F, 0x00, 0xC0])
    content = struct.pack("<I", 6) + text("S") + struct.pack("<II", 1, 1) + body + struct.pack("<I", 0)
    assert read_ctranslate2(content, name="m")["x"].tolist() == [1.0, -2.0]


@given(st.integers(0, len(packed()) - 1))
def test_a_file_that_ends_early_is_said_to(end):
    with pytest.raises(DataError, match=r"model\.bin .*\(byte [\d,]+ of"):
        read_ctranslate2(packed()[:end], name="model.bin")


@given(st.integers(0, len(packed()) - 1), st.integers(1, 255))
def test_a_changed_byte_gives_a_clear_error_or_a_model(at, by):
    content = bytearray(packed())
    content[at] ^= by
    try:
        read_ctranslate2(bytes(content), name="model.bin")
    except DataError as error:
        assert "model.bin" in str(error)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (packed(version=5), "is of format 5, and 6 is read"),
        (packed(behind=b"more"), "has 4 bytes behind its end"),
        (packed(aliases=[("c", "nothing")]), "lets 'c' stand for 'nothing'"),
        (packed(aliases=[("flag", "heads")]), "lets 'flag' stand for 'heads'"),
        (packed({"x": np.ones(2, np.float32)}).replace(b"\x01\x02\0\0\0\x00", b"\x01\x02\0\0\0\x09"), "has type 9"),
        (packed({"x": np.ones(2, np.float32)}).replace(b"\x01\x02\0\0\0", b"\x01\x03\0\0\0"), "has 8 bytes for 'x'"),
    ],
)
def test_what_is_wrong_is_named(content, wanted):
    with pytest.raises(DataError, match=wanted):
        read_ctranslate2(content, name="model.bin")
