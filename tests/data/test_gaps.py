"""Gaps: a share of the values goes, always the same one; every sample keeps something; nothing comes to be there."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.data.gaps import with_gaps
from polymnia.data.samples import Samples
from polymnia.data.source import SOURCES
from polymnia.errors import SettingsError
from polymnia.training.build import build_stream


def made(n: int, missing: float = 0.0) -> Samples:
    has = np.random.default_rng(0).random((n, 3)) >= missing
    has[:, 0] |= ~has.any(1)
    names = ("a", "b", "c")
    return Samples(
        np.array([f"s{i}" for i in range(n)]), {m: np.zeros((n, 1)) for m in names},
        {m: torch.from_numpy(has[:, at].copy()) for at, m in enumerate(names)}, torch.zeros(n, dtype=torch.int64),
    )  # fmt: skip


def there(samples: Samples) -> np.ndarray:
    return np.stack([samples.present[m].numpy() for m in sorted(samples.present)], 1)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.9))
def test_a_larger_share_takes_more_and_each_sample_keeps_one(one, other, before):
    samples = made(60, before)
    less, more = (there(with_gaps(samples, share, seed=3)) for share in sorted((one, other)))
    assert (more <= less).all() and (less <= there(samples)).all()
    assert more.any(1).all()


def test_the_share_is_about_what_was_asked_and_the_seed_decides():
    samples = made(3000)
    gappy = there(with_gaps(samples, 0.4, seed=0))
    assert abs(gappy.mean() - (0.6 + 0.4**3 / 3)) < 0.02  # of three values one is kept where all would go
    assert (there(with_gaps(samples, 0.4, seed=0)) == gappy).all()
    assert (there(with_gaps(samples, 0.4, seed=1)) != gappy).any()
    assert (there(with_gaps(samples, 1.0, seed=0)).sum(1) == 1).all()
    assert with_gaps(samples, 0.0, seed=0) is samples


@pytest.mark.parametrize("wrong", [-0.1, 1.5])
def test_no_share_is_refused(wrong):
    with pytest.raises(SettingsError, match="a share from 0 to 1"):
        with_gaps(made(3), wrong, seed=0)


def test_any_stream_may_have_gaps():
    whole = build_stream({"name": "digits", "stages": 5}, seed=0)
    gappy = build_stream({"name": "digits", "stages": 5, "missing": 0.5}, seed=0)
    assert SOURCES.get("digits").Settings.__dataclass_fields__.keys() == {"modalities"}
    for stage, with_less in zip(whole, gappy, strict=True):
        assert there(stage.train).all()
        for side in ("train", "test"):
            samples = getattr(with_less, side)
            assert 0.4 < there(samples).mean() < 0.7
            assert (samples.ids == getattr(stage, side).ids).all()
