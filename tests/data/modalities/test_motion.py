import numpy as np
import pytest

from polymnia.data.modalities.motion import Motion
from polymnia.errors import DataError


def test_files_and_arrays_read_the_same(npy, tmp_path):
    steps = np.arange(12, dtype=np.float32).reshape(4, 3)
    text = "ax;ay;az\n" + "\n".join(";".join(map(str, row)) for row in steps.tolist())
    (tmp_path / "a.csv").write_text("\ufeff" + text)
    for value in (steps, npy(steps), tmp_path / "a.csv", steps.astype(np.int16), steps.tolist()):
        read = Motion().read(value)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, steps)


def test_one_channel_may_come_flat():
    assert Motion().read(np.arange(5)).shape == (5, 1)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b"a,b,c\n", "only one line of text"),
        (b"# nothing\n", "holds no numbers"),
        (b"1,2\n3\n", "number of columns changed"),
        (b"1,2\n3,x\n", "could not convert string 'x'"),
        (b"1,2\n3,nan\n", "1 of 4 values that are NaN"),
        (b"\xff\xfe", "neither .npy nor text"),
        (np.zeros((2, 600)), "transposed"),
        (np.zeros((2, 2, 2)), "shape"),
        (np.zeros((0, 3)), "no numbers"),
        (np.array(["a", "b"]), "dtype <U1"),
        (np.array([1 + 2j]), "dtype complex128"),
        (np.array([True]), "dtype bool"),
        (np.array([1e300]), "beyond float32"),
        ([1, None], "array of numbers"),
        ([[1, 2], [3]], "not an array"),
        ("1,2", "got the text"),
    ],
)
def test_what_is_no_motion_has_a_reason(value, reason):
    with pytest.raises(DataError, match=reason):
        Motion().read(value)
