import numpy as np
import pytest
import torch

from polymnia.encoders.base import ENCODERS
from polymnia.errors import DataError

OpenWakeWord = ENCODERS.get("openwakeword")
pytestmark = pytest.mark.bundled("openwakeword")


@pytest.fixture(scope="module")
def encoder():
    return OpenWakeWord()


def tone(hertz, seconds, seed=0, noise=0.02):
    time = np.arange(int(seconds * 16_000)) / 16_000
    hiss = np.random.default_rng(seed).normal(size=len(time)) * noise
    return (0.4 * np.sin(2 * np.pi * hertz * time) + hiss).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "tokens"), [(1, 1), (400, 1), (12_512, 1), (13_791, 1), (13_792, 2), (16_000, 3), (48_000, 28)]
)
def test_one_token_each_80_ms_of_whole_windows(encoder, samples, tokens):
    (found,) = encoder.encode([tone(440, samples / 16_000)[:samples]])
    assert found.shape == (tokens, 96) and found.dtype == torch.float32 and torch.isfinite(found).all()


def test_a_short_clip_is_followed_by_silence(encoder):
    short = tone(440, 0.3)
    silence = np.zeros(12_512 - len(short), np.float32)
    assert torch.equal(encoder.encode([short])[0], encoder.encode([np.concatenate([short, silence])])[0])


def test_results_repeat_and_do_not_depend_on_the_batch(encoder):
    clips = [tone(300, 1.0), tone(500, 2.0), tone(800, 0.2)]
    alone = [encoder.encode([clip])[0] for clip in clips]
    assert all(torch.equal(one, two) for one, two in zip(alone, encoder.encode(clips), strict=True))
    assert all(torch.equal(one, two) for one, two in zip(alone, OpenWakeWord().encode(clips), strict=True))


def test_a_window_is_seen_in_the_same_way_wherever_it_stands(encoder):
    clip = tone(440, 2.0)
    early, late = encoder.encode([clip])[0], encoder.encode([clip[8 * 160 :]])[0]
    assert torch.allclose(early[1 : 1 + len(late)], late, atol=0.2)  # mel frames at the edge differ a little
    assert early.std() > 5


def test_tones_can_be_told_apart(encoder):
    """Six tones in noise, nearest mean over the pooled tokens: chance is 1 in 6."""
    from polymnia.encoders.columns import pack

    pitches, each = (200, 300, 450, 700, 1100, 1700), 6
    clips = [tone(p * (1 + 0.01 * i), 1.0, seed=100 * p + i, noise=0.05) for p in pitches for i in range(each)]
    pooled = pack(encoder.encode(clips), 96).pooled(encoder.pooling).flat
    assert pooled.shape == (36, 192)
    groups = pooled.reshape(len(pitches), each, 192)
    means, tests = groups[:, :3].mean(1), groups[:, 3:].reshape(-1, 192)
    found = torch.cdist(tests, means).argmin(1)
    assert (found == torch.arange(6).repeat_interleave(3)).float().mean() > 0.8


def test_another_form_is_refused(encoder):
    with pytest.raises(DataError, match="takes floats"):
        encoder.encode([np.zeros((2, 16_000), np.float32)])
