"""digits: three sensors of one scan, each what it says."""

import numpy as np
import pytest

from polymnia.data.source import SOURCES
from polymnia.data.sources.digits import sensors
from polymnia.errors import DataError

Digits = SOURCES.get("digits")


def test_the_sensors_are_functions_of_the_scan():
    scan = np.zeros((1, 8, 8), dtype=np.float64)
    scan[0, 2, 5] = 1.0
    views = sensors(scan)
    assert {name: view.shape for name, view in views.items()} == {
        "pixels": (1, 64), "spectrum": (1, 40), "projections": (1, 16),
    }  # fmt: skip
    assert views["pixels"].argmax() == 2 * 8 + 5
    assert np.allclose(views["spectrum"], 1 / 8), "a point holds every frequency alike"
    assert np.flatnonzero(views["projections"]).tolist() == [2, 8 + 5] and views["projections"].max() == 0.25


def test_all_scans_are_there():
    dataset = Digits().load()
    assert len(dataset.samples) == 1797 and dataset.class_names == tuple("0123456789")
    assert dataset.samples.modalities == ("pixels", "projections", "spectrum")
    assert dataset.kinds == dict.fromkeys(dataset.samples.modalities, "table")
    assert all(bool(there.all()) for there in dataset.samples.present.values())


def test_fewer_sensors_and_wrong_ones():
    assert Digits(Digits.Settings(modalities=("spectrum",))).load().samples.modalities == ("spectrum",)
    for wrong in (("pixel",), ()):
        with pytest.raises(DataError, match="Accepted: pixels, projections, spectrum"):
            Digits(Digits.Settings(modalities=wrong)).load()
