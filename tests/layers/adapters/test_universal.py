import pytest
import torch
from torch import nn

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.adapters.universal import Layer, Universal


@pytest.fixture
def widths():
    return dict.fromkeys(("audio", "image", "text"), 8)


def test_a_layer_is_torchs_transformer_layer():
    torch.manual_seed(0)
    own, torchs = (
        Layer(8, heads=2, hidden=16, dropout=0.0),
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu", batch_first=True),
    )
    torchs.load_state_dict({
        "self_attn.in_proj_weight": own.into.weight, "self_attn.in_proj_bias": own.into.bias,
        "self_attn.out_proj.weight": own.out.weight, "self_attn.out_proj.bias": own.out.bias,
        "linear1.weight": own.wide.weight, "linear1.bias": own.wide.bias,
        "linear2.weight": own.narrow.weight, "linear2.bias": own.narrow.bias,
        "norm1.weight": own.first.weight, "norm1.bias": own.first.bias,
        "norm2.weight": own.second.weight, "norm2.bias": own.second.bias,
    })  # fmt: skip
    tokens, valid = torch.randn(3, 5, 8), torch.arange(5) < torch.tensor([[5], [3], [1]])
    found, wanted = own(tokens, valid), torchs(tokens, src_key_padding_mask=~valid)
    torch.testing.assert_close(found[valid], wanted[valid], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own(tokens, None), torchs(tokens), rtol=1e-4, atol=1e-5)


def test_the_equation_and_that_the_token_alone_tells_modalities_apart(adapter, batch):
    made, whole = adapter("universal", layers=2), batch(3)
    text, token, parts = whole.values["text"], made.tokens["text"], made.projection
    wanted = token + parts["out"](parts["layers"][1](parts["layers"][0](parts["norm"](text + token), None), None))
    torch.testing.assert_close(made(whole)["text"], wanted)
    as_image = made(Batch({"image": text}, whole.targets))["image"]
    assert not torch.allclose(as_image, wanted)
    with torch.no_grad():
        made.tokens["image"].copy_(token)
    assert torch.equal(made(Batch({"image": text}, whole.targets))["image"], made(whole)["text"])


def test_later_stages_train_the_new_modalitys_token_alone_and_old_outputs_stay(adapter, batch, stage, train):
    made, whole = adapter("universal", modalities=("image", "text")), batch(20)
    before = made(whole)
    made.grow(stage(1, ("audio", "text")), ("audio", "text"))
    assert [name for name, p in made.named_parameters() if p.requires_grad] == ["tokens.audio"]
    start = made(whole)["audio"]
    train(made, batch(20, ("audio", "text")))
    assert not torch.equal(made(whole)["audio"], start)
    assert all(torch.equal(made(whole)[m], before[m]) for m in ("image", "text"))
    made.grow(stage(2, ("audio", "text")), ("audio", "text"))
    assert not any(p.requires_grad for p in made.parameters())


def test_settings_that_cannot_be_say_what_can():
    with pytest.raises(SettingsError, match=r"adapter\.layers: 0 is given; at least 1"):
        Universal.Settings(layers=0)
    with pytest.raises(SettingsError, match=r"adapter\.dropout: 1\.0 is given"):
        Universal.Settings(dropout=1.0)
    with pytest.raises(SettingsError, match="heads: 3 is given, and tokens are 8 wide"):
        Universal(Universal.Settings(heads=3)).grow(Outline(index=0, name="0", widths={"a": 8}), ("a",))
