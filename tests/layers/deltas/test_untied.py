import pytest
import torch
from torch import nn

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.hosts.unified import as_tokens
from polymnia.layers.deltas.base import PICTURE, TEXT, Asked
from polymnia.layers.deltas.untied import Untied
from polymnia.models.unified_model import UnifiedModel

KINDS = torch.tensor([[TEXT, PICTURE, PICTURE], [PICTURE, TEXT, TEXT]])
EVERYWHERE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def made(kinds="both") -> Untied:
    torch.manual_seed(0)
    delta = Untied(3, 4, Untied.Settings(kinds=kinds), asked=Asked(kinds=KINDS))
    assert not delta(torch.randn(2, 3, 3)).any()
    with torch.no_grad():
        for p in delta.parameters():
            p.copy_(torch.randn(p.shape))
    return delta


@pytest.mark.parametrize(("kinds", "untied"), [("both", (TEXT, PICTURE)), ("text", (TEXT,)), ("picture", (PICTURE,))])
def test_a_token_has_its_kinds_own_weights(kinds, untied):
    delta, layer, given = made(kinds), nn.Linear(3, 4), torch.randn(2, 3, 3)
    assert len(delta.weights) == len(untied)
    found = (layer(given) + delta(given)).detach()
    for row, at in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        kind = int(KINDS[row, at])
        own = delta.weights["picture" if kind == PICTURE else "text"] if kind in untied else torch.zeros(4, 3)
        torch.testing.assert_close(found[row, at], (layer.weight + own) @ given[row, at] + layer.bias)


def test_a_kind_that_is_absent_gets_a_gradient_of_zero():
    delta = made()
    delta.asked.kinds = torch.full((2, 3), TEXT)
    delta(torch.randn(2, 3, 3)).sum().backward()
    assert delta.weights["text"].grad.any() and not delta.weights["picture"].grad.any()


def test_in_a_host_each_kind_runs_as_in_a_host_with_its_weights(tiny_unified):
    model = UnifiedModel(UnifiedModel.Settings(host="words", delta="untied", places=EVERYWHERE, route_image="token"))
    model.host = tiny_unified
    model.grow(Outline(index=0, name="one", task="generation", modalities=("image",), widths={"image": 2}))
    with torch.no_grad():
        for delta in model.deltas.values():
            noise = 0.2 * torch.randn(delta.outputs, delta.inputs)
            delta.weights["text"].copy_(noise)
            delta.weights["picture"].copy_(noise)  # the same of both: a host with other weights
    columns = {"prompt": torch.tensor([[1, 5, 7]]), "draws": torch.tensor([[1]])}
    given = Batch({"image": as_tokens(torch.tensor([[1, 5, 0, 7]]))}, torch.tensor([-1]), columns=columns)
    carried = model.predict(given).logits
    with torch.no_grad():
        for name, delta in model.deltas.items():
            tiny_unified.network.get_submodule(name.replace("/", ".")).weight += delta.weights["text"]
            delta.weights["text"].zero_(), delta.weights["picture"].zero_()
    torch.testing.assert_close(carried, model.predict(given).logits, atol=1e-5, rtol=1e-4)
