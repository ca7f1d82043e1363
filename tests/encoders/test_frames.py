"""efficientnet-lite0-frames: each frame as the image network sees it."""

import numpy as np
import pytest
import torch

from polymnia.encoders.base import ENCODERS
from polymnia.errors import DataError

Frames, Images = ENCODERS.get("efficientnet-lite0-frames"), ENCODERS.get("efficientnet-lite0")
bundled = pytest.mark.bundled("efficientnet-lite0-frames")


@bundled
def test_a_token_a_frame_as_the_image_network_has_it():
    random = np.random.default_rng(0)
    films = [random.integers(0, 256, (n, 20, 30, 3), dtype=np.uint8) for n in (3, 1)]
    tokens = Frames().encode(films)
    assert [tuple(t.shape) for t in tokens] == [(3, 1280), (1, 1280)]
    (second,) = Images().encode([films[0][1]])
    torch.testing.assert_close(tokens[0][1], second.mean(0), rtol=1e-4, atol=1e-5)
    assert Frames().fingerprint != Images().fingerprint and Frames().reads("video") and not Frames().reads("image")


@bundled
def test_what_is_no_film():
    with pytest.raises(DataError, match=r"takes frames \(T, H, W, 3\), not an array of shape \(4, 4, 3\)"):
        Frames().encode([np.zeros((4, 4, 3), np.uint8)])
