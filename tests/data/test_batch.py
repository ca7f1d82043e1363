"""Batches: joining, taking and leaving out never changes what a sample is."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.data.batch import Batch

MODALITIES = ("audio", "image", "text")


@st.composite
def batches(draw) -> Batch:
    """Any batch: some modalities, ragged tokens, some missing; what is invalid or missing is zero."""
    n = draw(st.integers(1, 4))
    names = draw(st.lists(st.sampled_from(MODALITIES), min_size=1, max_size=3, unique=True))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    batch = Batch({}, torch.randint(0, 5, (n,), generator=seed))
    for name in names:
        longest = draw(st.integers(1, 3))
        length = torch.tensor(draw(st.lists(st.integers(0, longest), min_size=n, max_size=n)))
        valid = torch.arange(longest) < length[:, None]
        values = torch.randn(n, longest, MODALITIES.index(name) + 2, generator=seed)
        batch.values[name] = values * valid[..., None]
        batch.valid[name] = None if bool(valid.all()) else valid
        batch.present[name] = None if bool((length > 0).all()) else length > 0
    batch.columns["stage"] = torch.full((n,), draw(st.integers(0, 9)))
    return batch


def plain(batch: Batch) -> list[dict]:
    """What each row holds, without padding."""
    return [
        {"target": int(batch.targets[row])}
        | {m: batch.values[m][row][batch.mask(m)[row]].tolist() for m in batch.modalities if batch.has(m)[row]}
        for row in range(len(batch))
    ]


@given(batches(), batches())
def test_join_keeps_every_row_as_it_was(one, other):
    joined = one.join(other)
    assert plain(joined) == plain(one) + plain(other)
    for m in joined.modalities:
        assert not joined.values[m][~joined.mask(m)].any(), "padding is zero"
        assert not joined.values[m][~joined.has(m)].any(), "missing is zero"
    assert joined.columns["stage"].tolist() == one.columns["stage"].tolist() + other.columns["stage"].tolist()


@given(batches(), batches(), batches())
def test_join_is_associative(a, b, c):
    assert plain(a.join(b).join(c)) == plain(a.join(b.join(c)))


@given(batches(), st.data())
def test_take_by_numbers_mask_and_slice(batch, data):
    rows = data.draw(st.lists(st.integers(0, len(batch) - 1), max_size=6))
    assert plain(batch.take(torch.tensor(rows, dtype=torch.int64))) == [plain(batch)[row] for row in rows]
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(batch), max_size=len(batch))))
    assert plain(batch.take(mask)) == [row for row, kept in zip(plain(batch), mask.tolist(), strict=True) if kept]
    assert plain(batch.take(slice(1, None))) == plain(batch)[1:]


@given(batches(), st.lists(st.sampled_from(MODALITIES), unique=True))
def test_only_is_as_if_nothing_else_had_been_observed(batch, names):
    rows = [{k: v for k, v in row.items() if k in {"target", *names}} for row in plain(batch)]
    assert plain(batch.only(names)) == rows
    assert batch.only(names).columns.keys() == batch.columns.keys()


@given(batches())
def test_order_of_modalities_in_a_mapping_does_not_show(batch):
    turned = Batch(dict(reversed(batch.values.items())), batch.targets, batch.valid, batch.present, batch.columns)
    assert turned.modalities == batch.modalities == sorted(batch.values)
    assert list(turned.join(batch).values) == list(batch.join(turned).values)


def test_a_modality_that_is_not_there_is_missing_everywhere():
    batch = Batch({"image": torch.ones(2, 1, 3)}, torch.tensor([0, 1]))
    assert not batch.has("text").any() and batch.has("image").all() and batch.mask("image").all()


def test_whole_batches_need_no_masks_after_joining():
    one = Batch({"image": torch.ones(2, 1, 3)}, torch.tensor([0, 1]))
    assert one.join(one).valid["image"] is None and one.join(one).present["image"] is None
    longer = Batch({"image": torch.ones(1, 2, 3)}, torch.tensor([2]))
    mask = one.join(longer).valid["image"]
    assert mask is not None and mask.tolist() == [[True, False], [True, False], [True, True]]


def test_moving_a_batch_moves_everything():
    batch = Batch({"image": torch.ones(2, 1, 3)}, torch.tensor([0, 1]), columns={"logits": torch.ones(2, 4)})
    moved = batch.to("meta")
    assert {t.device.type for t in (*moved.values.values(), moved.targets, *moved.columns.values())} == {"meta"}
