import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polymnia.data.modalities.table import Table
from polymnia.data.numbers import numbers
from polymnia.errors import DataError


@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
def test_text_files_with_any_delimiter(mark):
    text = mark.join("ab") + "\n" + mark.join(["1", "2.5"]) + "\r\n" + mark.join(["3", "-4e1"]) + "\n\n"
    np.testing.assert_array_equal(Table().read(text.encode()), [[1, 2.5], [3, -40]])


def test_a_file_without_names_keeps_its_first_line():
    np.testing.assert_array_equal(Table().read(b"1,2\n3,4\n"), [[1, 2], [3, 4]])


def test_a_first_line_that_is_half_numbers_is_an_error_and_not_dropped():
    with pytest.raises(DataError, match="could not convert string 'x'"):
        Table().read(b"1,x\n3,4\n")


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=2, max_side=5), elements=st.floats(-9, 9, width=32))
)
def test_arrays_come_back_from_npy_as_they_were(array):
    out = io.BytesIO()
    np.save(out, array)
    np.testing.assert_array_equal(Table().read(out.getvalue()), array)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    for value in (tmp_path / "trap.npy", pickle.dumps(Trap())):
        with pytest.raises(DataError):
            Table().read(value)
    assert not (tmp_path / "sprung").exists()


def test_a_header_that_announces_too_much_is_refused_before_memory_is_taken(npy):
    data = npy(np.zeros((3, 4)))
    with pytest.raises(DataError, match="truncated: 96 bytes"):
        Table().read(data[:-1])
    huge = data.replace(b"(3, 4)", b"(900000000, 4)").replace(b" " * 8 + b"\n", b"\n")
    with pytest.raises(DataError, match="limit is 10,000,000"):
        Table().read(huge)


def test_an_archive_of_arrays_is_named_as_such():
    out = io.BytesIO()
    np.savez(out, a=np.zeros(3))
    with pytest.raises(DataError, match=r"\.npz"):
        Table().read(out.getvalue())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.array([1.0, np.nan, np.inf]), "2 of 3 values"),
        (np.float32(3), "shape"),
        (np.zeros((2, 2, 2)), "shape"),
        (np.zeros(0), "no numbers"),
        (np.array(["1"]), "dtype"),
        (np.array([object()]), "array of numbers"),
        (None, "missing"),
        ("1,2", "got the text"),
    ],
)
def test_what_is_no_table_has_a_reason(value, reason):
    with pytest.raises(DataError, match=reason):
        Table().read(value)


def test_a_row_and_rows_stand_side_by_side():
    padded, valid = Table().collate([np.ones(3, np.float32), np.ones((2, 3), np.float32)])
    assert padded.shape == (2, 2, 3)
    assert valid.tolist() == [[True, False], [True, True]]


def test_numbers_states_its_limit():
    with pytest.raises(DataError, match="holds 6 numbers; the limit is 5"):
        numbers(b"1,2\n3,4\n5,6\n", limit=5)
