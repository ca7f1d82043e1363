import os

import pytest

from polymnia.encoders.weights import fingerprint
from polymnia.errors import StateError


def test_a_fingerprint_depends_on_name_preprocessing_and_content(tmp_path):
    one, two = tmp_path / "a" / "w", tmp_path / "b" / "w"
    for path, content in ((one, b"same size"), (two, b"size same")):
        path.parent.mkdir()
        path.write_bytes(content)
    base = fingerprint("e", {"size": 1}, [one])
    assert len(base) == 32 and base == fingerprint("e", {"size": 1}, [one])
    others = [
        fingerprint("f", {"size": 1}, [one]),
        fingerprint("e", {"size": 2}, [one]),
        fingerprint("e", {"size": 1}, [two]),
    ]
    assert len({base, *others}) == 4
    two.write_bytes(b"same size")
    os.utime(two, ns=(1, 1))
    assert fingerprint("e", {"size": 1}, [two]) == base  # where a file lies does not matter


def test_unreadable_weights_are_a_clear_error(tmp_path):
    with pytest.raises(StateError, match="cannot read the weights"):
        fingerprint("e", {}, [tmp_path / "none"])
