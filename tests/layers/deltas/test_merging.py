"""Deltas that are matrices are merged into a layer and taken out again; the others say why not."""

import pytest
import torch
from torch import nn

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.deltas.base import DELTAS
from polymnia.models.unified_model import UnifiedModel

FOLDED = ("lora", "stacked")


def outline(index: int) -> Outline:
    return Outline(index=index, name=str(index), task="answering", modalities=("image",), widths={"image": 2})


def learned(part):
    with torch.no_grad():
        for at, p in enumerate(part.parameters()):
            p.copy_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(at)))
    return part


@pytest.mark.parametrize("name", FOLDED)
def test_merged_it_is_what_it_adds_and_unmerged_what_was_there(name):
    delta, layer, given = DELTAS.get(name)(8, 5), nn.Linear(8, 5).double(), torch.randn(2, 3, 8, dtype=torch.float64)
    delta.grow(outline(0)), delta.grow(outline(1))
    learned(delta.double())
    before, wanted = layer.weight.clone(), layer(given) + delta(given)
    delta.merge(layer)
    torch.testing.assert_close(layer(given), wanted, atol=1e-12, rtol=0)
    with pytest.raises(SettingsError, match="merged already; unmerge it first"):
        delta.merge(layer)
    delta.unmerge(layer)
    torch.testing.assert_close(layer.weight, before, atol=1e-12, rtol=0)
    with pytest.raises(SettingsError, match="is not merged; merge it first"):
        delta.unmerge(layer)


@pytest.mark.parametrize("name", [name for name in DELTAS if name not in FOLDED])
def test_what_is_no_matrix_says_why(name):
    delta, layer = DELTAS.get(name)(8, 5), nn.Linear(8, 5)
    delta.grow(outline(0))
    before = layer.weight.clone()
    with pytest.raises(SettingsError, match=f"{name!r} cannot be merged .*: .*(token|kind)"):
        delta.merge(layer)
    assert torch.equal(layer.weight, before) and not delta.merged


@pytest.mark.parametrize("name", FOLDED)
def test_a_model_does_not_carry_what_is_merged(name, tiny_unified):
    model = UnifiedModel(UnifiedModel.Settings(host="words", delta=name))
    model.host = tiny_unified
    model.grow(outline(0))
    learned(model.deltas)
    columns = {"prompt": torch.tensor([[1, 5, 7]]), "answer": torch.tensor([[6, 2]])}
    given = Batch({}, torch.tensor([-1]), columns=columns)
    carried = model.predict(given).logits
    layers = {key: model.loaded.network.get_submodule(key.replace("/", ".")) for key in model.deltas}
    for key, delta in model.deltas.items():
        delta.merge(layers[key])
    torch.testing.assert_close(model.predict(given).logits, carried, atol=1e-5, rtol=1e-4)
    for key, delta in model.deltas.items():
        delta.unmerge(layers[key])
    torch.testing.assert_close(model.predict(given).logits, carried, atol=1e-5, rtol=1e-4)
