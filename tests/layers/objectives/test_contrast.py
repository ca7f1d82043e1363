import math

import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.layers.objectives.contrast import above, hits, missed, products, units


def test_what_is_missed_is_cross_entropy_at_the_diagonal():
    scores = torch.tensor([[1.0, 0.0], [2.0, 4.0]])
    by_hand = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 2
    assert float(missed(scores)) == pytest.approx(by_hand)
    assert float(missed(torch.zeros(3, 5, 5))) == pytest.approx(math.log(5))


def test_ties_are_misses():
    assert float(hits(torch.zeros(4, 4))) == 0
    assert float(hits(torch.stack([torch.eye(3), torch.zeros(3, 3)]))) == 0.5


def test_units_are_of_length_one_step_by_step_or_clip_by_clip():
    sequences = torch.tensor([[[3.0, 4.0], [0.0, 2.0]]])  # (1, 2, 2)
    torch.testing.assert_close(units(sequences, "step"), torch.tensor([[[0.6, 0.8]], [[0.0, 1.0]]]))
    torch.testing.assert_close(units(sequences, "clip"), torch.tensor([[[1.0, 2.0]]]) / math.sqrt(5))
    assert not units(torch.zeros(1, 1, 2), "step").isnan().any()
    with pytest.raises(SettingsError, match="'step' or 'clip'"):
        units(sequences, "word")


def test_rows_are_before_candidates():
    scores = products(torch.tensor([[1.0, 0.0]]), torch.tensor([[5.0, 0.0], [7.0, 0.0]]))
    assert scores.tolist() == [[5.0, 7.0]]


def test_bounds_of_settings():
    above("own", 0, 0, equal=True)
    with pytest.raises(SettingsError, match=r"objective.temperature: 0 is given; above 0 is accepted"):
        above("temperature", 0, 0)
    with pytest.raises(SettingsError, match="nan is given"):
        above("own", float("nan"), 0, equal=True)
