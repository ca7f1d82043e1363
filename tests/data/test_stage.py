"""Stages and streams: outlines survive a journey through JSON; a stage without training samples is refused."""

from dataclasses import replace

import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.errors import DataError


def test_an_outline_comes_back_from_json(digits):
    for stage in digits:
        outline = stage.outline()
        assert type(outline) is Outline and outline == Outline.from_line(stage.line)
    assert dict(digits[0].outline().widths) == {"pixels": 64, "projections": 16, "spectrum": 40}


def test_a_stage_needs_training_samples(digits):
    with pytest.raises(DataError, match=r"stage 1 \(02-.*\) has no training samples"):
        replace(digits[1], train=digits[1].train.subset(torch.tensor([], dtype=torch.int64)))


def test_a_stream_is_its_stages_in_order(digits):
    assert len(digits) == 5 and [stage.index for stage in digits] == list(range(5)) and digits[4] is digits.stages[4]
    assert [len(stage.earlier) for stage in digits] == list(range(5))
    assert digits[3].earlier[2].name == digits[2].name


def test_a_sealed_stage_does_not_open_what_came_before(digits):
    last = digits.stages[-1]
    sealed = last.sealed()
    assert len(sealed.earlier) == len(last.earlier) > 0
    assert sealed.train is last.train
    for look in (lambda: sealed.earlier[0], lambda: list(sealed.earlier), lambda: sealed.earlier[:1]):
        with pytest.raises(DataError, match=r"may open its own samples only.*looks_back"):
            look()
