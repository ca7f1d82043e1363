"""Chameleon's decoder of pictures: its weights by name, in either order, and what is said where there is none."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import conv2d, group_norm, interpolate

from polymnia.config import part
from polymnia.errors import SettingsError
from polymnia.hosts.base import HOSTS
from polymnia.hosts.chameleon_pictures import decoder, turned


def host(path, **settings):
    kind, own = part(HOSTS, {"name": "chameleon", "path": str(path), **settings}, "model.host")
    return kind(own)


@pytest.fixture(scope="module")
def loaded(tiny_anole):
    return host(tiny_anole).load()


def reference_pixels(weights, codes):
    """Return (B, 3, 8, 8) of codes (B, 16), written out from the names of the weights; `up.0` is the finest."""
    own = {name.partition("vqmodel.")[2]: weight for name, weight in weights.items() if "vqmodel." in name}

    def conv(name, x):
        weight = own[f"{name}.weight"]
        return conv2d(x, weight, own[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def norm(name, x):
        return group_norm(x, 32, own[f"{name}.weight"], own[f"{name}.bias"], eps=1e-6)

    def block(name, x):
        inside = conv(f"{name}.conv1", torch.nn.functional.silu(norm(f"{name}.norm1", x)))
        inside = conv(f"{name}.conv2", torch.nn.functional.silu(norm(f"{name}.norm2", inside)))
        return inside + (conv(f"{name}.nin_shortcut", x) if f"{name}.nin_shortcut.weight" in own else x)

    x = own["quantize.embedding.weight"][codes].reshape(len(codes), 4, 4, -1).permute(0, 3, 1, 2)
    x = block("decoder.mid.block_1", conv("decoder.conv_in", conv("post_quant_conv", x)))
    q, k, v = (conv(f"decoder.mid.attn_1.{n}", norm("decoder.mid.attn_1.norm", x)).flatten(2) for n in "qkv")
    mixed = (v @ (q.mT @ k / 8).softmax(-1).mT).reshape(x.shape)
    x = block("decoder.mid.block_2", x + conv("decoder.mid.attn_1.proj_out", mixed))
    x = block("decoder.up.1.block.1", block("decoder.up.1.block.0", x))
    x = conv("decoder.up.1.upsample.conv", interpolate(x, scale_factor=2.0))
    x = block("decoder.up.0.block.1", block("decoder.up.0.block.0", x))
    return conv("decoder.conv_out", torch.nn.functional.silu(norm("decoder.norm_out", x)))


def test_a_conversions_decoder_gives_pixels(loaded, tiny_anole):
    codes = torch.randint(12, (2, 16), generator=torch.Generator().manual_seed(0))
    expected = reference_pixels(load_file(tiny_anole / "model.safetensors"), codes)
    assert loaded.pictures.network.decode(codes).allclose(expected, atol=1e-4)
    shown = loaded.pixels(codes)
    assert shown.shape == (2, 8, 8, 3) and shown.dtype == torch.uint8
    by_hand = ((expected + 1) / 0.0078).round().clamp(0, 255).permute(0, 2, 3, 1)
    assert float((shown.float() - by_hand).abs().max()) <= 1 and shown.float().std() > 1


def test_a_decoder_may_come_from_another_folder(tiny_chameleon, tiny_anole, loaded, tmp_path):
    weights = load_file(tiny_anole / "model.safetensors")
    alone = {n.partition("vqmodel.")[2]: w for n, w in weights.items() if "decoder." in n or "post_quant" in n}
    save_file(alone, tmp_path / "vqvae.safetensors")
    codes = torch.arange(16)[None] % 12
    assert torch.equal(host(tiny_chameleon, decoder=str(tmp_path)).load().pixels(codes), loaded.pixels(codes))


def test_the_layer_before_a_decoder_is_the_checkpoints_where_it_comes_without(tiny_anole, loaded, tmp_path):
    weights = load_file(tiny_anole / "model.safetensors")
    save_file({n: w for n, w in weights.items() if "vqmodel.decoder." in n}, tmp_path / "decoder.safetensors")
    codes = torch.arange(16)[None] % 12
    assert torch.equal(host(tiny_anole, decoder=str(tmp_path)).load().pixels(codes), loaded.pixels(codes))


def test_a_decoder_without_the_layer_before_it_is_refused(tiny_anole, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_anole, folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "post_quant_conv" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SettingsError, match="does not fit: Missing key"):
        host(folder).load()


def test_levels_may_be_counted_from_the_coarsest(tiny_anole, loaded, tmp_path):
    folder = tmp_path / "turned"
    shutil.copytree(tiny_anole, folder)
    weights = {turned(name, 2): weight for name, weight in load_file(folder / "model.safetensors").items()}
    assert "model.vqmodel.decoder.up.0.upsample.conv.weight" in weights
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    codes = torch.arange(16)[None] % 12
    assert torch.equal(host(folder).load().pixels(codes), loaded.pixels(codes))


def test_a_decoder_attends_where_its_settings_say():
    from transformers import ChameleonVQVAEConfig

    def attending(**settings):
        config = ChameleonVQVAEConfig(resolution=32, base_channels=32, channel_multiplier=[1, 1, 2], **settings)
        with torch.device("meta"):
            names = decoder(config).state_dict()
        return {name.partition(".q.")[0] for name in names if name.endswith(".q.weight")}

    assert attending() == {"mid.attn_1"}
    assert attending(attn_resolutions=[8]) == {"mid.attn_1", *(f"up.0.attn.{block}" for block in range(3))}
    assert attending(attn_resolutions=[32]) == {"mid.attn_1", *(f"up.2.attn.{block}" for block in range(3))}
    assert attending(attn_resolutions=[8], attn_type="none") == set()


def test_without_a_decoder_it_says_so(tiny_chameleon):
    with pytest.raises(SettingsError, match=r"no decoder of pictures.*Anole's does.*model\.host\.decoder"):
        host(tiny_chameleon).load().pixels(torch.zeros(1, 16, dtype=torch.long))


def test_a_decoder_that_does_not_fit_is_told(tiny_anole, tmp_path):
    folder = tmp_path / "torn"
    shutil.copytree(tiny_anole, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.vqmodel.decoder.conv_in.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SettingsError, match=r"does not fit: .*conv_in\.bias"):
        host(folder).load()
