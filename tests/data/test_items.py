"""Items become samples: what is drawn, which side a group is on, and how long texts are held."""

import numpy as np
import pytest

from polymnia.data.items import Item, common, drawn, in_columns
from polymnia.data.samples import Sample


def item(name, split="train"):
    return Item(id=name, values={}, columns={"split": split, "group": name})


def test_a_larger_limit_holds_all_that_a_smaller_one_does():
    items = [item(f"{n}.jpg", ("train", "test")[n % 2]) for n in range(40)]
    few, more = drawn(items, 3), drawn(items, 8)
    assert [len([i for i in few if i.columns["split"] == s]) for s in ("train", "test")] == [3, 3]
    assert {i.id for i in few} < {i.id for i in more} and len(more) == 16
    assert [i.id for i in more] == [i.id for i in items if i in more], "their order stays"
    assert {i.id for i in drawn(items[::-1], 3)} == {i.id for i in few}, "the lists' order does not matter"
    assert drawn(items, 0) == items == drawn(items, 99)


@pytest.mark.parametrize(("texts", "most"), [(["a"], "a"), (["b", "a"], "b"), (["b", "a", "a"], "a")])
def test_the_commonest_or_the_first(texts, most):
    assert common(texts) == most


def test_long_texts_are_held_once():
    long = "word " * 5000
    columns = {"task": "captioning", "prompt": "describe the image.", "references": long, "split": "train"}
    samples = in_columns(Sample(str(n), {}, -1, {**columns, "answer": f"a {n}"}) for n in range(1000))
    held = samples.columns["references"]
    assert held.nbytes == 8 * 1000 and all(text is long for text in held)
    assert samples.columns["answer"][7] == "a 7" and samples.columns["split"].dtype.kind == "U"
    few = samples.subset(np.array([3, 4]))
    assert few.columns["references"].tolist() == [long] * 2 and few[0].columns["answer"] == "a 3"
    both = type(samples).concat([few, samples.subset(np.array([5]))])
    assert both.columns["answer"].tolist() == ["a 3", "a 4", "a 5"]
