"""Cells of a matrix by what two stages share, by hand."""

import math

import pytest

from polymnia.data.stage import Outline
from polymnia.evaluation.cells import by_cells

STAGES = [
    Outline(index=0, name="0", task="captioning", modalities=("audio",)),
    Outline(index=1, name="1", task="captioning", modalities=("image",)),
    Outline(index=2, name="2", task="answering", modalities=("audio",)),
]
MATRIX = [[0.8], [0.6, 0.9], [0.1, 0.8, 1.0]]


def test_changes_in_the_very_stage_by_hand():
    found = by_cells(MATRIX, STAGES)
    assert found["change on same modality"] == pytest.approx(0.1 - 0.6)
    assert found["score on same modality"] == pytest.approx(0.1)
    assert found["change on absent modality"] == pytest.approx(((0.6 - 0.8) + (0.8 - 0.9)) / 2)
    assert found["score on absent modality"] == pytest.approx((0.6 + 0.8) / 2)


def test_without_such_a_pair_there_is_no_figure():
    assert all(math.isnan(value) for value in by_cells(MATRIX[:1], STAGES[:1]).values())
    missing = by_cells([[None], [None, 0.5]], STAGES[:2])
    assert math.isnan(missing["change on absent modality"])
