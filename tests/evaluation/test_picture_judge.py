"""The judge: what it reads, how agreement is counted, and what the column `shows` may hold."""

import json

import pytest
import torch

from polymnia.data.samples import Sample, Samples
from polymnia.errors import DataError
from polymnia.evaluation.picture_judge import judge, shows

SHOWN = [{"colour": c, "shape": s} for c in ("red", "blue") for s in ("dot", "star")]


@pytest.fixture(scope="module")
def learned():
    """A judge of one vector a picture: the first two entries are the colour, the others the shape."""
    features = torch.tensor([[1.0, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]])
    return judge(features, SHOWN), features


def test_it_reads_each_attribute_for_itself(learned):
    one, features = learned
    assert one.read(features) == SHOWN
    turned = [{"colour": s["colour"], "shape": "dot"} for s in SHOWN]
    assert one.agreement(features, turned) == {"": 0.5, "colour": 1.0, "shape": 0.5}
    wrong = [{"colour": "green", "shape": "dot"}] * 4  # a colour that it never saw
    assert one.agreement(features, wrong) == {"": 0.0, "colour": 0.0, "shape": 0.5}
    assert one.agreement(features, [{"colour": "red"}, {}, {}, {"size": "big"}]) == {"": 1.0, "colour": 1.0}
    assert one.agreement(features, [{}] * 4) == {}


def test_an_attribute_with_one_value_says_nothing(learned):
    _, features = learned
    assert judge(features, [{**each, "size": "big"} for each in SHOWN]).probes.keys() == {"colour", "shape"}
    assert judge(features, [{}] * 4).read(features) == [{}] * 4


def test_what_samples_show_is_a_mapping():
    def samples(cell):
        return Samples.of([Sample("a", {}, columns={"shows": cell})])

    assert shows(samples(json.dumps({"colour": "red", "count": 2}))) == [{"colour": "red", "count": "2"}]
    assert shows(Samples.of([Sample("a", {})])) == [{}] == shows(samples(""))
    with pytest.raises(DataError, match=r"shows of sample 'a' is '\[1\]'; it must be a JSON mapping"):
        shows(samples("[1]"))
