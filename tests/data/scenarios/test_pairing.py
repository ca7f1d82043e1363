"""pairing: each stage holds whole pairs of one new modality and the mediator, and nothing else."""

import numpy as np
import pytest

from polymnia.data.scenarios.pairing import wrong_partners
from polymnia.data.splits import SPLITS
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DataError, SettingsError

N = 120
HAS = {
    "text": [i % 10 != 9 for i in range(N)],
    "image": [i % 5 != 4 for i in range(N)],
    "speech": [i % 3 != 2 for i in range(N)],
    "sound": [i % 4 == 0 for i in range(N)],
}
GROUP = [f"g{i // 3}" for i in range(N)]
ORDER = ("image", "speech", "sound")


@pytest.fixture(scope="module")
def world(in_memory):
    """Four modalities, each missing here and there; groups of three; every seventh sample has no label."""
    return in_memory([-1 if i % 7 == 6 else i % 4 for i in range(N)], present=HAS, group=GROUP)


def row(name: str) -> int:
    return int(name[1:])


def held(stream):
    return [{side: getattr(stage, side) for side in SPLITS} for stage in stream]


def test_a_stage_holds_whole_pairs_and_nothing_else(world, cut_by):
    stream = cut_by(world, "pairing", order=ORDER)
    assert [stage.task for stage in stream] == ["pairing"] * 3
    assert [stage.name for stage in stream] == ["01-image+text", "02-speech+text", "03-sound+text"]
    assert [stage.modalities for stage in stream] == [("image", "text"), ("speech", "text"), ("sound", "text")]
    for new, sides in zip(ORDER, held(stream), strict=True):
        for samples in sides.values():
            assert set(samples.values) == set(samples.present) == {new, "text"}
            assert all(bool(samples.present[m].all()) for m in samples.values), "a pair is whole on every side"
            assert all(set(samples[i].values) == {new, "text"} for i in range(len(samples)))
        pairs = {i for i in range(N) if HAS[new][i] and HAS["text"][i]}
        assert {row(name) for samples in sides.values() for name in samples.ids} == pairs, "and every pair is there"


def test_samples_without_a_label_are_pairs_too(world, in_memory, cut_by):
    stream = cut_by(world, "pairing", order=ORDER)
    for samples in (samples for sides in held(stream) for samples in sides.values()):
        truth = [row(name) % 7 == 6 for name in samples.ids]
        assert (samples.targets == -1).tolist() == truth
    nameless = cut_by(in_memory([-1] * N, present=HAS, classes=0), "pairing", order=ORDER)
    assert nameless.class_names == () and [stage.classes for stage in nameless] == [(), (), ()]
    assert all(len(samples) for sides in held(nameless) for samples in sides.values())


def test_what_is_in_no_pair_is_set_aside_with_a_reason(world, cut_by):
    stream = cut_by(world, "pairing", order=("image",))
    lone = {i for i in range(N) if not (HAS["image"][i] and HAS["text"][i])}
    reasons = {row(left.id): left.reason for left in stream.rejected}
    assert set(reasons) == lone and not any(left.broken for left in stream.rejected)
    assert all("no label" not in reason for reason in reasons.values()), "a label is not what they lack"


def test_another_stages_modality_cannot_be_had(world, cut_by):
    stream = cut_by(world, "pairing", order=ORDER)
    with pytest.raises(KeyError):
        _ = stream[1].train.values["image"]
    encoded = encode_stream(stream, {m: ENCODERS.get("identity")() for m in stream.kinds})
    batch = encoded[1].train.batch(encoded[1].train.targets.new_tensor([0, 1, 2]))
    assert batch.modalities == ["speech", "text"] and not bool(batch.has("image").any())
    assert set(encoded[1].widths) == {"speech", "text"}
    with pytest.raises(DataError, match="may open its own samples only"):
        _ = encoded[1].sealed().earlier[0]


def test_a_sample_keeps_its_side_in_all_stages(world, cut_by):
    sides: dict[str, set[str]] = {}
    for stage in held(cut_by(world, "pairing", order=ORDER)):
        for side, samples in stage.items():
            for group in samples.columns["group"].tolist():
                sides.setdefault(group, set()).add(side)
    assert len(sides) == N // 3 and all(len(found) == 1 for found in sides.values())


def test_disjoint_gives_a_training_group_to_one_stage(world, cut_by):
    plain, apart = (held(cut_by(world, "pairing", order=ORDER, disjoint=d)) for d in (False, True))
    groups = [set(stage["train"].columns["group"].tolist()) for stage in apart]
    assert all(groups) and sum(map(len, groups)) == len(set.union(*groups)), "no group trains twice"
    of_plain = [set(stage["train"].columns["group"].tolist()) for stage in plain]
    assert set.union(*groups) == set.union(*of_plain), "and none is lost"
    for one, other in zip(plain, apart, strict=True):
        assert set(other["train"].ids) <= set(one["train"].ids)
        for side in ("valid", "test"):
            assert other[side].ids.tolist() == one[side].ids.tolist(), "what is scored is the same"
    again = held(cut_by(world, "pairing", order=("sound", "image", "speech"), disjoint=True))
    assert again[1]["train"].ids.tolist() == apart[0]["train"].ids.tolist(), "the order of stages does not matter"
    other = held(cut_by(world, "pairing", order=ORDER, disjoint=True, seed=5))
    assert other[0]["train"].ids.tolist() != apart[0]["train"].ids.tolist()


def test_disjoint_drops_no_sample_from_the_stream(world, cut_by):
    plain, apart = (cut_by(world, "pairing", order=ORDER, disjoint=d) for d in (False, True))
    used = [{name for sides in held(stream) for samples in sides.values() for name in samples.ids}
            for stream in (plain, apart)]  # fmt: skip
    assert {left.id for left in apart.rejected} == {f"s{i}" for i in range(N)} - used[1]


def own(samples, modality: str) -> list[int]:
    """Return which sample of the world each value comes from: it is the row's number, times 3, in the first cell."""
    return (samples.values[modality][:, 0] / 3).astype(int).tolist()


def test_shuffled_makes_every_training_pair_wrong_and_no_other(world, cut_by):
    right, wrong = (cut_by(world, "pairing", order=ORDER, shuffled=s) for s in (False, True))
    for new, a, b in zip(ORDER, held(right), held(wrong), strict=True):
        assert a["train"].ids.tolist() == b["train"].ids.tolist()
        rows = [row(name) for name in b["train"].ids]
        assert own(a["train"], "text") == own(b["train"], new) == rows
        assert sorted(own(b["train"], "text")) == sorted(rows), "the same texts, each once"
        assert not any(GROUP[i] == GROUP[j] for i, j in zip(rows, own(b["train"], "text"), strict=True))
        assert b["train"].targets.tolist() == a["train"].targets.tolist()
        for side in ("valid", "test"):
            ids = [row(name) for name in b[side].ids]
            assert own(b[side], "text") == own(b[side], new) == ids, "what is scored stays right"
    assert own(held(wrong)[0]["train"], "text") != own(held(cut_by(world, "pairing", order=ORDER, shuffled=True,
                                                                   seed=4))[0]["train"], "text")  # fmt: skip


def test_together_keeps_the_modalities_so_far(world, cut_by):
    stream = cut_by(world, "pairing", order=ORDER, together=True)
    assert [stage.modalities for stage in stream] == [
        ("image", "text"), ("image", "speech", "text"), ("image", "sound", "speech", "text"),
    ]  # fmt: skip
    for samples in held(stream)[2].values():
        assert bool((samples.present["sound"] & samples.present["text"]).all())
        assert samples.present["image"].tolist() == [HAS["image"][row(name)] for name in samples.ids]
    assert not bool(stream[2].train.present["image"].all())


def test_together_and_shuffled_pair_the_new_modality_with_nothing_right(world, cut_by):
    train = cut_by(world, "pairing", order=ORDER, together=True, shuffled=True)[1].train
    rows, there = [row(name) for name in train.ids], train.present["image"].tolist()
    assert own(train, "speech") == rows and there == [HAS["image"][i] for i in rows]
    assert not any(i == j for i, j, has in zip(rows, own(train, "image"), there, strict=True) if has)
    assert not any(i == j for i, j in zip(rows, own(train, "text"), strict=True))


def test_partners_where_one_group_holds_more_than_half():
    partner = wrong_partners(np.array(["a"] * 8 + ["b"]), np.random.default_rng(3))
    assert sorted(partner.tolist()) == list(range(9)) and not (partner == np.arange(9)).any()
    for seed in range(50):
        groups = np.random.default_rng(seed).integers(0, 3, 9).astype(str)
        if np.unique(groups, return_counts=True)[1].max() <= 4:
            partner = wrong_partners(groups, np.random.default_rng(seed))
            assert not (groups[partner] == groups).any() and sorted(partner.tolist()) == list(range(9))


def test_the_order_is_drawn_and_may_leave_some_out(world, cut_by):
    orders = {tuple(s.name for s in cut_by(world, "pairing", seed=seed)) for seed in range(9)}
    assert len(orders) > 1 and all(len(order) == 3 for order in orders)
    assert set(cut_by(world, "pairing", order=("sound",)).kinds) == {"sound", "text"}
    assert cut_by(world, "pairing", mediator="image", order=("text",))[0].modalities == ("image", "text")


def test_wrong_settings(world, in_memory, cut_by):
    with pytest.raises(SettingsError, match=r"stream\.mediator: no such modality: 'txt'"):
        cut_by(world, "pairing", mediator="txt")
    with pytest.raises(SettingsError, match="no such modality beside the mediator: 'text'"):
        cut_by(world, "pairing", order=("image", "text"))
    with pytest.raises(SettingsError, match="names a modality twice: image, image"):
        cut_by(world, "pairing", order=("image", "image"))
    with pytest.raises(SettingsError, match="together puts several modalities into a training sample"):
        cut_by(world, "pairing", together=True, disjoint=True)
    with pytest.raises(SettingsError, match="pairing needs a modality beside the mediator 'text'"):
        cut_by(in_memory([0, 1] * 9, present={"text": [True] * 18}), "pairing")


def test_too_few_pairs(in_memory, cut_by):
    never = in_memory([0, 1] * 9, present={"text": [i < 9 for i in range(18)], "image": [i >= 9 for i in range(18)]})
    with pytest.raises(DataError, match=r"stage 01-image\+text would have no training samples: no sample has all"):
        cut_by(never, "pairing")
    one = in_memory([0] * 9, present={"text": [True] * 9, "image": [i == 0 for i in range(9)]}, split=["train"] * 9)
    with pytest.raises(DataError, match="stage image: one training sample has text, and shuffling needs two"):
        cut_by(one, "pairing", shuffled=True)
