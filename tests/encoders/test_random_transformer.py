import numpy as np
import pytest
import torch

from polymnia.config import typed
from polymnia.data.tokens import Tokens
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DataError, SettingsError

RandomTransformer = ENCODERS.get("random-transformer")


def encoder_of(**settings):
    return RandomTransformer(typed(RandomTransformer.Settings, settings))


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)


@torch.no_grad()
def through(trunk, tokens, valid=None):
    for index in range(trunk.depth):
        tokens = trunk.layer(index, tokens, valid)
    return trunk.finish(tokens)


@pytest.mark.parametrize("width", [24, 32])
def test_layers_above_any_cut_make_the_encoders_own_tokens(values, width):
    encoder = encoder_of(width=width)
    own = torch.stack(encoder.encode(list(values)))
    assert own.shape == (5, 6, width) and encoder.width == width and encoder.depth == 3
    assert torch.allclose(encoder.encode_dense(values), own, atol=1e-5)
    fingerprints = {encoder.fingerprint}
    for layer in range(4):
        below, trunk = encoder.cut(layer)
        fingerprints.add(below.fingerprint)
        states = below.encode_dense(values)
        assert trunk.depth == 3 - layer and torch.allclose(torch.stack(below.encode(list(values))), states, atol=1e-5)
        assert torch.allclose(through(trunk, states), own, atol=1e-4)
        padded = torch.cat([states, torch.full((5, 2, width), 9.0)], 1)
        valid = (torch.arange(8) < 6).expand(5, 8)
        assert torch.allclose(through(trunk, padded, valid)[:, :6], own, atol=1e-4)
        assert not list(trunk.parameters()) and not trunk.state_dict()
    assert len(fingerprints) == 5


def test_the_first_layer_is_what_the_equations_say(values):
    encoder = encoder_of(width=4, heads=1, layers=1)
    below, trunk = encoder.cut(0)
    x = below.encode([values[0]])[0]
    layer = encoder._network.layers[0]

    def norm(x):
        return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()

    q, k, v = (norm(x) @ layer.joint.weight.T).split(4, -1)
    x = x + torch.softmax(q @ k.T / 2, -1) @ v @ layer.out.weight.T
    x = x + torch.nn.functional.gelu(norm(x) @ layer.inner.weight.T) @ layer.outer.weight.T
    assert torch.allclose(trunk.layer(0, below.encode([values[0]])[0][None], None)[0], x, atol=1e-5)
    assert torch.allclose(encoder.encode([values[0]])[0], norm(x), atol=1e-5)


def test_weights_depend_on_the_settings_alone(values):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = encoder_of().encode(list(values))[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    other_width_first = encoder_of()
    other_width_first.encode([np.ones((2, 3), np.float32)])
    assert torch.equal(other_width_first.encode(list(values))[0], one)
    assert encoder_of().fingerprint == encoder_of().fingerprint
    for settings in ({"seed": 1}, {"layers": 2}, {"heads": 2}, {"width": 64}):
        assert encoder_of(**settings).fingerprint != encoder_of().fingerprint
        assert not torch.equal(encoder_of(**settings).encode(list(values))[0][:, :32], one)


def test_gradients_pass_and_no_weight_moves(values):
    encoder = encoder_of()
    below, trunk = encoder.cut(1)
    tokens = below.encode_dense(values).requires_grad_()
    trunk.finish(trunk.layer(0, tokens, None)).square().sum().backward()
    assert float(tokens.grad.abs().sum()) > 0
    assert all(weight.grad is None and not weight.requires_grad for weight in encoder._network.parameters())


def test_single_rows_motion_and_tables_go_through_a_stream(stream_of):
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    stream = stream_of((list(zip("abcd", rows, strict=True)), [], []), kind="table")
    encoder = encoder_of(width=8)
    whole = encode_stream(stream, {"note": encoder})
    assert whole[0].widths == {"note": 8}
    below, trunk = encoder.cut(2)
    states = encode_stream(stream, {"note": below}, pool=False)[0].train.values["note"]
    assert isinstance(states, Tokens) and states.width == 8 and trunk.depth == 1
    assert encoder.reads("motion") and encoder.encode([rows[0]])[0].shape == (1, 8)
    with pytest.raises(DataError, match="takes numbers of shape"):
        encoder.encode(["a text"])
    with pytest.raises(DataError, match="takes numbers of shape"):
        encoder.encode([np.zeros((2, 2, 2), np.float32)])


def test_sizes_that_do_not_fit_are_refused():
    for wrong in ({"width": 30}, {"heads": 0}, {"width": 3, "heads": 3}, {"layers": -1}):
        with pytest.raises(SettingsError, match="is given, and"):
            encoder_of(**wrong)
    with pytest.raises(SettingsError, match="before layer 0 to 3; 4 is given"):
        encoder_of().cut(4)
    assert encoder_of(layers=0).cut(0)[1].depth == 0
