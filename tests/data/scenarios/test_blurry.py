"""blurry: every sample once; disjoint classes at home only, the others' shares as asked."""

from collections import Counter

import pytest

from polymnia.errors import SettingsError


@pytest.fixture(scope="module")
def ten(in_memory):
    return in_memory([c for c in range(10) for _ in range(100)])


def counts(stream) -> list[Counter]:
    """Training samples of each class, by name, stage by stage."""
    return [Counter(stream.class_names[c] for c in stage.train.targets.tolist()) for stage in stream]


def test_shares_are_as_in_i_blurry(ten, cut_by):
    stream = cut_by(ten, "blurry", stages=5, disjoint=0.5, blur=0.2)
    held = counts(stream)
    disjoint = [name for name in stream.class_names if sum(bool(stage[name]) for stage in held) == 1]
    assert len(disjoint) == 5, "half of the classes"
    for name in set(stream.class_names) - set(disjoint):
        shares = sorted(stage[name] for stage in held)
        assert shares[-1] == 56 and sum(shares) == 70, "a fifth of 70 training samples is away from home"
        assert max(shares[:-1]) - min(shares[:-1]) <= 1, "evenly over the other stages"


def test_every_sample_comes_once(ten, cut_by):
    for stochastic in (False, True):
        stream = cut_by(ten, "blurry", stages=4, disjoint=0.3, blur=0.4, stochastic=stochastic)
        names = [n for stage in stream for side in (stage.train, stage.valid, stage.test) for n in side.ids.tolist()]
        assert len(names) == len(set(names)) == 1000 and not stream.rejected


def test_tests_are_about_the_main_classes(ten, cut_by):
    stream = cut_by(ten, "blurry", stages=5, disjoint=0.0, blur=0.5)
    tested = [set(stage.test.targets.tolist()) for stage in stream]
    assert [len(classes) for classes in tested] == [2] * 5 and len(set.union(*tested)) == 10


def test_without_blur_it_is_class_incremental(ten, cut_by):
    held = counts(cut_by(ten, "blurry", stages=5, blur=0.0))
    assert [len(stage) for stage in held] == [2] * 5


def test_stochastic_stages_differ_in_size(ten, cut_by):
    sizes = [
        tuple(len(set(stage.test.targets.tolist())) for stage in cut_by(ten, "blurry", stochastic=True, seed=seed))
        for seed in range(6)
    ]
    assert len(set(sizes)) > 1 and all(sum(s) == 10 and min(s) >= 1 for s in sizes)


def test_a_class_always_trains_at_home(in_memory, cut_by):
    source = in_memory([0, 1, 2, 3] * 2, split=["train"] * 8)
    stream = cut_by(source, "blurry", stages=4, disjoint=0.0, blur=1.0)
    held = counts(stream)
    assert all(sum(bool(stage[name]) for stage in held) == 2 for name in stream.class_names)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"blur": 1.5}, "blur: 1.5 is given; accepted: a share"), ({"disjoint": -1.0}, "disjoint: -1.0"),
     ({"stages": 1}, "at least 2 stages"), ({"stages": 11}, "10 classes cannot be cut into 11")],
)  # fmt: skip
def test_settings_that_do_not_fit(ten, cut_by, settings, says):
    with pytest.raises(SettingsError, match=says):
        cut_by(ten, "blurry", **settings)
