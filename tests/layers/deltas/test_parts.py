"""Parts: every delta says of each of its parameters which tokens use it."""

import pytest

from polymnia.data.stage import Outline
from polymnia.layers.deltas.base import DELTAS

ONE = Outline(index=0, name="one", modalities=("image",), widths={"image": 2})


def parts(name, **settings):
    kind = DELTAS.get(name)
    delta = kind(4, 6, kind.Settings(**settings))
    delta.grow(ONE)
    assert delta.parts().keys() == {name for name, _ in delta.named_parameters()}
    return delta.parts()


@pytest.mark.parametrize("name", DELTAS.names())
def test_every_parameter_is_of_a_part(name):
    assert set(parts(name).values()) <= {"text", "picture", "shared"}


def test_what_is_decoupled_is_told_apart():
    found = parts("decoupled")
    assert {name.split(".")[0]: part for name, part in found.items()} == {
        "text": "text", "router": "text", "picture": "picture"
    }  # fmt: skip
    assert set(parts("decoupled", image="none").values()) == {"text"}
    assert set(parts("decoupled", by="position").values()) == {"shared"}
    assert set(parts("token-gated", kind="text").values()) == {"text"}
    assert parts("untied") == {"weights.text": "text", "weights.picture": "picture"}
    assert set(parts("lora").values()) == {"shared"}
