"""Columns of samples: taking, leaving out, joining and batching keep rows together."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.data.samples import Sample, Samples
from polymnia.data.tokens import Tokens
from polymnia.errors import DataError

MODALITIES = ("image", "text")
TEXT = st.text("abc", max_size=3)


@st.composite
def lists(draw, least: int = 0) -> list[Sample]:
    """Any samples, with unique ids and any subset of modalities."""
    n = draw(st.integers(least, 6))
    return [
        Sample(
            f"s{i}",
            {m: f"{m} {i}" for m in draw(st.sets(st.sampled_from(MODALITIES)))},
            draw(st.integers(-1, 3)),
            {"group": draw(TEXT), "label": draw(TEXT)},
        )
        for i in range(n)
    ]


def back(samples: Samples) -> list[Sample]:
    return [samples[row] for row in range(len(samples))]


@given(lists())
def test_columns_give_back_the_samples(given_samples):
    samples = Samples.of(given_samples)
    assert back(samples) == given_samples
    assert samples.modalities == tuple(sorted({m for s in given_samples for m in s.values}))


@given(lists(least=1), st.data())
def test_subset_and_concat(given_samples, data):
    samples = Samples.of(given_samples)
    rows = data.draw(st.lists(st.integers(0, len(samples) - 1), max_size=6))
    part = samples.subset(np.array(rows, dtype=np.int64))
    assert back(part) == [given_samples[row] for row in rows]
    assert back(Samples.concat([samples, part])) == given_samples + [given_samples[row] for row in rows]


@given(lists(), st.sets(st.sampled_from(MODALITIES)))
def test_only_keeps_samples_that_have_one_of_them(given_samples, names):
    kept = back(Samples.of(given_samples).only(sorted(names)))
    assert [s.id for s in kept] == [s.id for s in given_samples if names & set(s.values)]
    assert all(set(s.values) <= names for s in kept)


def encoded() -> Samples:
    tokens = Tokens(torch.arange(8.0).reshape(4, 2), torch.tensor([0, 1, 3]), torch.tensor([1, 2, 1]))
    sparse = Tokens(torch.ones(1, 3), torch.tensor([0, 0, 0]), torch.tensor([0, 1, 0]))
    there = {"audio": torch.tensor([False, True, False]), "image": torch.ones(3, dtype=torch.bool)}
    return Samples(np.array(["a", "b", "c"]), {"audio": sparse, "image": tokens}, there, torch.tensor([0, 1, -1]))


def test_a_batch_has_masks_only_where_something_is_missing():
    batch = encoded().batch(torch.tensor([1, 0]))
    assert batch.targets.tolist() == [1, 0]
    assert batch.values["image"].tolist() == [[[2.0, 3.0], [4.0, 5.0]], [[0.0, 1.0], [0.0, 0.0]]]
    valid, present = batch.valid["image"], batch.present["audio"]
    assert valid is not None and valid.tolist() == [[True, True], [True, False]]
    assert batch.present["image"] is None and present is not None and present.tolist() == [True, False]
    assert not batch.values["audio"][1].any()


def test_samples_of_tokens():
    whole = encoded()
    assert set(whole[0].values) == {"image"}
    twice = Samples.concat([whole, whole.subset(np.array([2]))])
    assert twice.batch(torch.tensor([3])).values["image"].tolist() == [[[6.0, 7.0]]]
    assert [s.id for s in back(whole.only(["audio"]))] == ["b"]


def test_raw_values_cannot_be_batched():
    with pytest.raises(DataError, match="'image' is not encoded yet"):
        Samples.of([Sample("a", {"image": Path("a.png")}, 0)]).batch(torch.tensor([0]))


def test_duplicate_ids_are_named():
    with pytest.raises(DataError, match=r"duplicate sample ids: b \(1 in all\)"):
        Samples.of([Sample("a", {}), Sample("b", {}), Sample("b", {}), Sample("b", {})])


def test_columns_of_another_length_are_named():
    with pytest.raises(DataError, match=r"3 rows.*'label': 2"):
        Samples(np.array(["a", "b", "c"]), {}, {}, torch.zeros(3, dtype=torch.int64), {"label": np.array(["x", "y"])})


def test_parts_with_other_modalities_cannot_be_joined():
    one, other = Samples.of([Sample("a", {"image": "x"})]), Samples.of([Sample("b", {"text": "x"})])
    with pytest.raises(DataError, match=r"\['image'\], \['text'\]"):
        Samples.concat([one, other])
