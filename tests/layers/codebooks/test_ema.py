import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.layers.codebooks.ema import EMA


def test_it_is_multimodal_ema_without_partners(codebook, learn):
    one, other = codebook("ema"), codebook("multimodal-ema", partner=0.0)
    for made in (one, other):
        learn(made)
    assert torch.equal(one.codes, other.codes)


def test_partners_are_refused():
    with pytest.raises(SettingsError, match="multimodal-ema"):
        EMA.Settings(partner=0.5)
