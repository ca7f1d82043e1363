"""How much deltas train, against real layers, and rivals that train as much."""

import pytest
from torch import nn

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.deltas.base import DELTAS
from polymnia.layers.deltas.sizes import matched, trainable

SHAPES = [(64, 160), (64, 160), (160, 64)] * 3  # the digit model of the specification's pilot


@pytest.mark.parametrize("name", DELTAS.names())
def test_it_is_what_is_trained_beside_real_layers(name):
    layers = nn.ModuleList(DELTAS.get(name)(*shape) for shape in SHAPES)
    for layer in layers:
        layer.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": 2}))
    assert trainable(name, SHAPES) == sum(p.numel() for p in layers.parameters() if p.requires_grad) > 0


def test_the_published_counts():
    chameleon = 32 * [(4096, 11008), (4096, 11008), (11008, 4096)]
    assert trainable({"name": "lora", "rank": 8}, chameleon) == 32 * 362_496
    assert trainable("decoupled", chameleon) == 60_456_960  # 0.86 % of 7 B
    # the pilot's table: 16 k, 81 k, 84 k, 68 k
    counts = [{"name": "lora", "rank": 8}, {"name": "lora", "rank": 40}, "decoupled"]
    assert [trainable(each, SHAPES) for each in counts] == [16_128, 80_640, 84_096]
    assert trainable({"name": "decoupled", "image": "none"}, SHAPES) == 67_968
    assert trainable({"name": "decoupled", "by": "position"}, SHAPES) == 84_096
    assert trainable("untied", SHAPES) == 2 * sum(i * o for i, o in SHAPES)
    assert trainable(None, SHAPES) == 0


@pytest.mark.parametrize("like", ["decoupled", {"name": "decoupled", "image": "none", "rank": 4}])
@pytest.mark.parametrize(("name", "settings"), [("lora", {}), ("mixture", {"experts": 4}), ("mixture", {"experts": 2})])
def test_no_other_rank_is_nearer(name, settings, like):
    found = matched(name, like=like, shapes=SHAPES, **settings)
    step = settings.get("experts", 1)
    missed = [
        abs(trainable({**found, "rank": rank}, SHAPES) - trainable(like, SHAPES))
        for rank in (found["rank"] - step, found["rank"], found["rank"] + step)
    ]
    assert missed[1] == min(missed)
    assert missed[1] <= step * sum(map(sum, SHAPES)) / 2  # half of what the next rank would add
    assert found["alpha"] == 16 / (4 if like != "decoupled" else 8) * found["rank"]


def test_what_has_no_rank_is_told():
    with pytest.raises(SettingsError, match="like: 'untied' beside 9 layers is given; a delta with rank and alpha"):
        matched("lora", like="untied", shapes=SHAPES)
    with pytest.raises(SettingsError, match="rank: no such setting of 'untied'"):
        matched("untied", like="decoupled", shapes=SHAPES)
    with pytest.raises(SettingsError, match="beside 0 layers"):
        matched("lora", like="decoupled", shapes=[])
