"""concepts: what each clip holds, counted; and what a probe can and cannot read off raw steps."""

from itertools import permutations

import numpy as np
import pytest
import torch

from polymnia.data.source import SOURCES
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import SettingsError

Concepts = SOURCES.get("concepts")
WIDTHS = {"audio": 48, "speech": 40, "text": 32, "video": 64}
NEW = ("video", "audio", "speech")


def source(**settings):
    return Concepts(Concepts.Settings(**settings))


def small(**settings):
    return source(**{"train_clips": 72, "valid_clips": 36, "test_clips": 72, **settings})


@pytest.fixture(scope="module")
def world():
    return source().load().samples


def rows(samples, **wanted):
    return np.logical_and.reduce([samples.columns[name] == value for name, value in wanted.items()])


def shown(samples, modality, at):
    return np.array([line.split() for line in samples.columns[f"{modality} shown"][at]]).astype(int)


# what there is ------------------------------------------------------------------------------------------------


def test_training_and_validation_clips_are_pairs_with_text_and_test_clips_have_all(world):
    has = {m: world.present[m].numpy() for m in WIDTHS}
    for stage, new in enumerate(NEW):
        for split in ("train", "valid", "test"):
            at = rows(world, stage=f"{stage + 1}-{new}", split=split)
            there = {m for m in WIDTHS if has[m][at].all()}
            assert there == (set(WIDTHS) if split == "test" else {new, "text"})
            assert not any(has[m][at].any() for m in WIDTHS.keys() - there)
    for m, width in WIDTHS.items():
        assert world.values[m].shape == (len(world), 6, width) and world.values[m].dtype == np.float32
        assert not world.values[m][~has[m]].any() and np.abs(world.values[m][has[m]]).sum(2).all()
        assert set(world.columns[f"{m} shown"][~has[m]]) <= {""}


def test_the_pool_grows_and_concepts_are_equally_frequent():
    samples = small().load().samples
    for stage, (new, pool) in enumerate(zip(NEW, (12, 18, 24), strict=True)):
        for split, clips in (("train", 72), ("valid", 36), ("test", 72)):
            found = np.bincount(samples.targets[rows(samples, stage=f"{stage + 1}-{new}", split=split)], minlength=24)
            if clips % pool == 0:
                assert found.tolist() == [clips // pool] * pool + [0] * (24 - pool)
            assert not found[pool:].any()
            half = samples.targets[rows(samples, stage=f"{stage + 1}-{new}", split=split)][::2]
            assert {0, 1} <= {c % 2 for c in half.tolist()}, "no order that a part of the rows could betray"
    names = np.array([f"concept {c}" for c in samples.targets.tolist()])
    assert (names == samples.columns["label"]).all()


def test_no_clip_is_in_two_places_and_no_two_modalities_share_a_nuisance():
    assert len(set(small().load().samples.columns["group"])) == len(small().load().samples)
    flat = small(noise=0.0, misaligned=0.0, shift=0.0).load().samples
    for m in WIDTHS:  # a nuisance that came again would make two clips of one concept equal
        there = flat.values[m][flat.present[m].numpy()][:, 0]
        assert len(np.unique(there.round(4), axis=0)) == len(there)


def test_text_shows_its_concept_and_others_show_another_of_the_pool_by_the_given_probability(world):
    for m in WIDTHS:
        at = world.present[m].numpy()
        wrong = shown(world, m, at) != world.targets.numpy()[at, None]
        assert wrong.mean() == pytest.approx(0.0 if m == "text" else 0.25, abs=0.01)
        for stage, pool in enumerate((12, 18, 24)):
            there = at & rows(world, stage=f"{stage + 1}-{NEW[stage]}")
            if there.any():
                assert set(np.unique(shown(world, m, there))) <= set(range(pool))
    never = small(misaligned=1.0).load().samples
    at = rows(never, split="test")
    assert (shown(never, "video", at) != never.targets.numpy()[at, None]).all()


def test_a_step_is_what_the_renderer_makes_of_concept_and_nuisance():
    still = small(noise=0.0, nuisance=0.0, shift=1.0)
    samples = still.load().samples
    for m in WIDTHS:
        at = rows(samples, stage="2-audio", split="test")
        nuisance = np.zeros((72, 6, 8)) + (still.moved(1) if m == "text" else 0.0)
        wanted = still.render(m, shown(samples, m, at), nuisance)
        np.testing.assert_allclose(samples.values[m][at], wanted, rtol=1e-4, atol=1e-5)
    assert not still.moved(0).any() and not np.allclose(still.moved(1), still.moved(2))
    noisy = small(nuisance=0.0, shift=1.0, noise=0.5).load().samples.values["text"] - samples.values["text"]
    assert noisy.std() == pytest.approx(0.5, rel=0.02)


def test_renderers_are_nonlinear_and_differ():
    made, random = source(concepts=3000, pools=(2, 2, 2)), np.random.default_rng(0)
    nuisance, every = random.standard_normal((3000, 8)), np.arange(3000)
    pictures = {m: made.render(m, every, nuisance) for m in WIDTHS}
    inside = np.c_[made.meanings(), nuisance, np.ones(3000)]
    for picture in pictures.values():
        assert np.square(picture).mean() == pytest.approx(1, rel=0.15)
        best = inside @ np.linalg.lstsq(inside, picture, rcond=None)[0]
        assert 0.05 < np.square(picture - best).mean() / picture.var() < 0.5, "what no linear map explains"
    for a, b in permutations(WIDTHS, 2):
        alike = [np.corrcoef(pictures[a][:, i], pictures[b][:, i])[0, 1] for i in range(32)]
        assert abs(np.mean(alike)) < 0.2


def test_the_seed_fixes_everything_and_no_draw_shifts_another():
    one, again, other = (small(data_seed=seed).load().samples for seed in (1, 1, 2))
    more = small(data_seed=1, train_clips=144, modalities=("video", "speech"), pools=(12, 18)).load().samples
    for m in WIDTHS:
        np.testing.assert_array_equal(one.values[m], again.values[m])
        assert not np.allclose(one.values[m], other.values[m])
    for split in ("train", "test"):
        at, also = (rows(s, stage="1-video", split=split) for s in (one, more))
        np.testing.assert_array_equal(more.columns["video shown"][also][:72], one.columns["video shown"][at])
        np.testing.assert_array_equal(more.values["text"][also][:72], one.values["text"][at])


# what can be read off -----------------------------------------------------------------------------------------


def ridge(steps, targets):
    x = np.c_[steps, np.ones(len(steps))]
    return np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ np.eye(24)[targets])


def right(probe, steps, targets):
    return float(((np.c_[steps, np.ones(len(steps))] @ probe).argmax(1) == targets).mean())


@pytest.fixture(scope="module")
def clips(world):
    """Split → modality → the mean step (n, 32) of each clip, its first 32 numbers, and its concept."""

    def of(split, m):
        at = rows(world, split=split) & world.present[m].numpy()
        known = at & np.isin(world.targets, world.targets[rows(world, split="train") & world.present[m].numpy()])
        return world.values[m][known].mean(1), world.targets.numpy()[known]

    return {split: {m: of(split, m) for m in WIDTHS} for split in ("train", "test")}


def test_within_a_modality_a_ridge_probe_reads_the_concept_off_raw_clips(clips):
    for m in WIDTHS:
        assert right(ridge(*clips["train"][m]), *clips["test"][m]) > 0.9, m


def test_between_modalities_nothing_can_be_read_without_alignment(clips):
    found = {}
    for a, b in permutations(WIDTHS, 2):
        (x, y), (other, wanted) = clips["train"][a], clips["test"][b]
        found[a, b] = right(ridge(x[:, :32], y), other[:, :32], wanted)
    assert np.mean(list(found.values())) == pytest.approx(1 / 20, abs=0.025), found
    assert max(found.values()) < 0.2, found


def test_a_probe_of_the_first_stages_text_reads_later_text_less_well(world):
    first, text = rows(world, stage="1-video"), world.values["text"].mean(1)
    probe = ridge(*(x[first & rows(world, split="train")] for x in (text, world.targets.numpy())))
    test = rows(world, split="test") & (world.targets.numpy() < 12)
    read = [right(probe, text[at], world.targets.numpy()[at]) for at in (test & first, test & ~first)]
    assert read[0] > 0.97 and 0.6 < read[1] < 0.95


# as a stream --------------------------------------------------------------------------------------------------


def test_cut_into_pairs_a_stage_trains_on_its_own_clips_alone(cut_by):
    stream = cut_by(small(), "pairing", order=NEW)
    assert [stage.modalities for stage in stream] == [tuple(sorted((new, "text"))) for new in NEW]
    assert [len(stage.classes) for stage in stream] == [12, 18, 24]
    for at, (stage, new) in enumerate(zip(stream, NEW, strict=True)):
        assert set(stage.train.columns["stage"]) == {f"{at + 1}-{new}"} and len(stage.train) == 72
        assert set(stage.test.values) == {new, "text"}
        assert int(stage.test.targets.max()) < (12, 18, 24)[at]
    encoded = encode_stream(stream, {m: ENCODERS.get("identity")() for m in stream.kinds}, pool=False)
    batch = encoded[1].train.batch(torch.arange(5))
    assert {m: tuple(v.shape) for m, v in batch.values.items()} == {"audio": (5, 6, 48), "text": (5, 6, 32)}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"modalities": ("video", "text"), "pools": (2, 2)}, "stream.modalities: no modality is called 'text'|text"),
        ({"modalities": ("video", "video"), "pools": (2, 2)}, "names one twice: video, video"),
        ({"pools": (12, 18)}, "stream.pools: 2 are given for 3 stages"),
        ({"pools": (12, 10, 24)}, r"stream.pools: \[12, 10, 24\] is given; at least 2 concepts each"),
        ({"concepts": 20}, "at most the 20 concepts"),
        ({"test_clips": 0}, "stream.test_clips: 0 is given; at least 1"),
        ({"misaligned": 1.5}, "stream.misaligned: 1.5 is given; accepted: from 0 to 1"),
    ],
)
def test_wrong_settings(settings, reason):
    with pytest.raises(SettingsError, match=reason):
        source(**settings).load()
