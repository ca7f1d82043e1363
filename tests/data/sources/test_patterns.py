"""patterns: what is in which modality, counted, and that it can be read off by who sees both."""

from itertools import product

import numpy as np
import pytest
import torch

from polymnia.data.source import SOURCES
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import SettingsError

Patterns = SOURCES.get("patterns")


def source(**settings):
    return Patterns(Patterns.Settings(**settings))


@pytest.mark.parametrize("patterns", [(4, 4), (8, 4)])
def test_under_sum_each_modality_alone_is_exactly_at_chance(patterns):
    samples = source(patterns=patterns, train_samples=64, valid_samples=16, test_samples=32, domains=2).load().samples
    label = samples.targets.numpy()
    shown = {m: samples.columns[m].astype(int) for m in ("audio", "video")}
    np.testing.assert_array_equal(label, (shown["audio"] + shown["video"]) % 4)
    for split, domain in product(("train", "valid", "test"), ("domain-0", "domain-1")):
        rows = (samples.columns["split"] == split) & (samples.columns["domain"] == domain)
        joint = np.zeros((*patterns, 4), int)
        np.add.at(joint, (shown["audio"][rows], shown["video"][rows], label[rows]), 1)
        for axis in (0, 1):  # sum over the other modality: every label is equally frequent whatever this one shows
            assert len(np.unique(joint.sum(axis))) == 1
        assert set(np.unique(joint.sum(2))) == {joint.sum() // np.prod(patterns)}, "all pairs are equally frequent"


def test_a_token_is_a_pattern_plus_noise():
    quiet = source(noise=0.0, widths=(24, 32), train_samples=4, test_samples=4)
    samples = quiet.load().samples
    for modality, width in (("audio", 24), ("video", 32)):
        values = samples.values[modality]
        assert values.shape == (32, 6, width) and values.dtype == np.float32
        pattern = quiet.patterns(modality)
        np.testing.assert_allclose(np.square(pattern).mean(1), 1)
        wanted = pattern[samples.columns[modality].astype(int)]
        np.testing.assert_allclose(values, np.repeat(wanted[:, None], 6, 1), rtol=1e-5)
    loud = source(noise=2.0, train_samples=400, test_samples=4).load().samples.values["video"]
    still = source(noise=0.0, train_samples=400, test_samples=4).load().samples.values["video"]
    assert (loud - still).std() == pytest.approx(2.0, rel=0.02)
    assert not np.allclose(loud[:, 0] - still[:, 0], loud[:, 1] - still[:, 1]), "each token has its own noise"


def test_pairs_are_one_a_class_and_share_patterns():
    samples = source(rule="pairs", classes=20, patterns=(7, 7), train_samples=5, test_samples=3).load().samples
    by_class = {}
    for label, audio, video in zip(
        samples.targets.tolist(), samples.columns["audio"], samples.columns["video"], strict=True
    ):
        by_class.setdefault(label, set()).add((int(audio), int(video)))
    assert len(by_class) == 20 and all(len(pairs) == 1 for pairs in by_class.values())
    assert len(set.union(*by_class.values())) == 20, "no two classes are one pair"
    assert max(np.bincount([next(iter(pairs))[0] for pairs in by_class.values()])) >= 2


def test_counts_and_splits():
    samples = source(train_samples=8, valid_samples=4, test_samples=12).load().samples
    for split, count in (("train", 8), ("valid", 4), ("test", 12)):
        assert np.bincount(samples.targets[samples.columns["split"] == split]).tolist() == [count] * 4
    assert len(set(samples.ids.tolist())) == len(samples)


def test_the_seed_fixes_everything_and_no_draw_shifts_another():
    one, again, other = (source(data_seed=seed, train_samples=8, test_samples=4).load().samples for seed in (1, 1, 2))
    for modality in ("audio", "video"):
        np.testing.assert_array_equal(one.values[modality], again.values[modality])
        assert not np.allclose(one.values[modality], other.values[modality])
    more = source(data_seed=1, train_samples=16, test_samples=4, domains=3).load().samples
    rows = (more.columns["split"] == "test") & (more.columns["domain"] == "domain-0")
    np.testing.assert_array_equal(more.values["audio"][rows], one.values["audio"][one.columns["split"] == "test"])


def test_domains_are_rotations_of_the_same():
    turned = source(noise=0.0, domains=3, train_samples=4, test_samples=4)
    samples = turned.load().samples
    assert sorted(set(samples.columns["domain"].tolist())) == ["domain-0", "domain-1", "domain-2"]
    for modality in ("audio", "video"):
        turns = [turned.turn(modality, domain) for domain in range(3)]
        for turn in turns:
            np.testing.assert_allclose(turn @ turn.T, np.eye(len(turn)), atol=1e-9)
            assert np.linalg.det(turn) == pytest.approx(1)
        np.testing.assert_array_equal(turns[0], np.eye(len(turns[0])))
        first, third = (samples.values[modality][samples.columns["domain"] == f"domain-{d}"] for d in (0, 2))
        np.testing.assert_allclose(first @ turns[2], third, atol=1e-5)
        assert not np.allclose(first, third, atol=0.1)


def test_a_probe_of_both_finds_the_sum_and_of_one_finds_nothing():
    samples = source(train_samples=400, test_samples=200, noise=1.0).load().samples
    means = {m: samples.values[m].mean(1) for m in ("audio", "video")}
    train = samples.columns["split"] == "train"
    label = samples.targets.numpy()
    found = {}
    for modality, value in means.items():  # nearest mean of a pattern
        shown = samples.columns[modality].astype(int)
        centres = np.stack([value[train & (shown == i)].mean(0) for i in range(4)])
        found[modality] = ((value[:, None] - centres) ** 2).sum(2).argmin(1)
        per_label = np.stack([value[train & (label == c)].mean(0) for c in range(4)])
        alone = ((value[:, None] - per_label) ** 2).sum(2).argmin(1)
        assert (alone == label)[~train].mean() == pytest.approx(0.25, abs=0.05)
    assert ((found["audio"] + found["video"]) % 4 == label)[~train].mean() > 0.99


def test_a_stream_of_domains_in_the_order_given(cut_by):
    stream = cut_by(
        source(domains=3, train_samples=4, test_samples=4),
        "domain-incremental",
        order=("domain-2", "domain-0", "domain-1"),
    )
    assert [stage.name for stage in stream] == ["01-domain-2", "02-domain-0", "03-domain-1"]
    assert all(stage.classes == (0, 1, 2, 3) and len(stage.train) == len(stage.test) == 16 for stage in stream)
    encoded = encode_stream(stream, {m: ENCODERS.get("identity")() for m in stream.kinds}, pool=False)
    batch = encoded[1].train.batch(torch.arange(5))
    assert batch.values["audio"].shape == (5, 6, 24) and batch.values["video"].shape == (5, 6, 32)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"rule": "product"}, "stream.rule: 'product' is given; accepted: sum, pairs"),
        ({"patterns": (4, 6)}, "both must be multiples of the 4 classes"),
        ({"train_samples": 6}, "stream.train_samples: 6 is given; under rule 'sum' it must be a multiple of 4"),
        ({"rule": "pairs", "classes": 17}, "4 × 4 patterns make fewer pairs"),
        ({"test_samples": 0}, "stream.test_samples: 0 is given; at least 1"),
        ({"noise": -1.0}, "noise at least 0"),
    ],
)
def test_wrong_settings(settings, reason):
    with pytest.raises(SettingsError, match=reason):
        source(**settings).load()
