"""Host `chameleon`: over a tiny checkpoint of its own class, saved and loaded."""

import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import conv2d, group_norm, interpolate

from polymnia.config import part
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.hosts.base import HOSTS
from polymnia.hosts.causal import Decoding
from polymnia.hosts.chameleon import Chameleon
from polymnia.hosts.chameleon_pictures import ChameleonPictures, decoder, turned
from polymnia.hosts.texts import padded
from polymnia.hosts.unified import FAR, as_codes, as_tokens
from polymnia.models.drawing import Drawing
from polymnia.models.unified_model import UnifiedModel

SPECIAL = "<s> <pad> </s> <unk> <racm3:break> <eoss> <image> <sep>"
WORDS = "a the red blue star dot what colour is it draw ? ."
CODES = 12


def code_name(code):
    """Return the name that a code has in the vocabulary: its digits as letters."""
    return f"IMGIMG{''.join('ABCDEFGHIJ'[int(digit)] for digit in str(code))}Z"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the folder of a tiny Chameleon: pictures of 8 × 8, 16 codes a picture out of 12, no decoder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        ChameleonConfig,
        ChameleonForConditionalGeneration,
        ChameleonImageProcessorPil,
        PreTrainedTokenizerFast,
    )

    order = [7, 2, 11, 0, 1, 10, 3, 9, 4, 8, 5, 6]  # the ids of codes are in no order
    names = [*SPECIAL.split(), *(code_name(code) for code in order), *WORDS.split()]
    vocabulary = {name: i for i, name in enumerate(names)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = {"boi_token": "<racm3:break>", "eoi_token": "<eoss>", "image_token": "<image>"}
    tokeniser = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        sep_token="<sep>", extra_special_tokens=marks,
    )  # fmt: skip
    vq = {
        "embed_dim": 6, "num_embeddings": CODES, "latent_channels": 6, "resolution": 8, "base_channels": 32,
        "channel_multiplier": [1, 2], "num_res_blocks": 1, "attn_resolutions": None,
    }  # fmt: skip
    config = ChameleonConfig(
        vocab_size=len(names), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, bos_token_id=0, eos_token_id=2, pad_token_id=1, vq_config=vq, vocabulary_map=vocabulary,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("chameleon")
    torch.manual_seed(0)
    network = ChameleonForConditionalGeneration(config)
    with torch.no_grad():  # the initialisation is so narrow that all pictures would have one code
        network.model.vqmodel.quantize.embedding.weight.normal_()
        for layer in (network.model.vqmodel.encoder.conv_out, network.model.vqmodel.quant_conv):
            layer.weight.normal_(std=0.5)
    network.save_pretrained(folder)
    tokeniser.save_pretrained(folder)
    ChameleonImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def drawing(saved, tmp_path_factory):
    """Return a copy whose safetensors hold a decoder, named and ordered as community conversions do."""
    folder = tmp_path_factory.mktemp("anole") / "model"
    shutil.copytree(saved, folder)
    weights, random = load_file(folder / "model.safetensors"), torch.Generator().manual_seed(1)
    shapes = {"conv_in": (64, 6, 3), "conv_out": (3, 32, 3), "norm_out": (32,), "up.1.upsample.conv": (64, 64, 3)}
    blocks = {"mid.block_1": (64, 64), "mid.block_2": (64, 64), "up.1.block.0": (64, 64), "up.1.block.1": (64, 64)}
    blocks |= {"up.0.block.0": (64, 32), "up.0.block.1": (32, 32)}
    for name, (inputs, outputs) in blocks.items():
        shapes |= {f"{name}.norm1": (inputs,), f"{name}.conv1": (outputs, inputs, 3)}
        shapes |= {f"{name}.norm2": (outputs,), f"{name}.conv2": (outputs, outputs, 3)}
    shapes |= {"up.0.block.0.nin_shortcut": (32, 64, 1), "mid.attn_1.norm": (64,)}
    shapes |= {f"mid.attn_1.{name}": (64, 64, 1) for name in ("q", "k", "v", "proj_out")}
    for name, shape in shapes.items():
        size = (*shape, shape[-1]) if len(shape) == 3 else shape
        weights[f"model.vqmodel.decoder.{name}.weight"] = 0.2 * torch.randn(size, generator=random)
        weights[f"model.vqmodel.decoder.{name}.bias"] = 0.2 * torch.randn(shape[0], generator=random)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def host(path, **settings):
    kind, own = part(HOSTS, {"name": "chameleon", "path": str(path), **settings}, "model.host")
    return kind(own)


@pytest.fixture(scope="module")
def loaded(drawing):
    return host(drawing).load()


@pytest.fixture(scope="module")
def own(drawing):
    """Return the class of transformers over the same folder."""
    from transformers import ChameleonForConditionalGeneration

    return ChameleonForConditionalGeneration.from_pretrained(drawing).eval()


def pictures(count=3, *, seed=0, size=(8, 8)):
    return list(np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8))


def written(loaded, text):
    return loaded.tokeniser.held.convert_tokens_to_ids(text.split())


# what is loaded -----------------------------------------------------------------------------------------------


def test_what_is_said_of_it(loaded, saved):
    assert isinstance(loaded, Chameleon) and HOSTS.get("chameleon").draws
    assert (loaded.codes, loaded.length, loaded.seen, loaded.width) == (12, 16, 2, 16)
    assert [loaded.tokeniser.held.convert_ids_to_tokens(int(i)) for i in loaded.ids] == [
        code_name(c) for c in range(12)
    ]
    assert not any(p.requires_grad for p in loaded.network.parameters()) and not loaded.network.training
    assert not loaded.state_dict()  # nothing of a host is saved with a model
    assert not HOSTS.get("chameleon").available() and host(saved).folder() == saved


def test_a_prompt_ends_with_the_separator(loaded):
    assert loaded.tokeniser.prompt("what colour ?") == written(loaded, "<s> what colour ? <sep>")
    assert loaded.tokeniser.prompt("") == written(loaded, "<s> <sep>")
    assert loaded.tokeniser.answer("red") == written(loaded, "red </s>")


def test_places_are_the_language_models(loaded):
    found = loaded.places(("gate_proj", "up_proj", "down_proj"))
    assert sorted(found) == sorted(
        f"model.layers.{i}.mlp.{name}" for i in range(2) for name in ("gate_proj", "up_proj", "down_proj")
    )


# pictures -----------------------------------------------------------------------------------------------------


def test_pictures_are_seen_as_the_class_sees_them(loaded, own, drawing):
    from transformers import ChameleonImageProcessorPil

    shown = pictures()
    prepared = ChameleonImageProcessorPil.from_pretrained(drawing)(images=shown, return_tensors="pt")["pixel_values"]
    expected = own.get_image_tokens(prepared)
    codes = as_codes(torch.stack(loaded.look(shown)))
    assert torch.equal(loaded.ids[codes], expected.long()) and len(set(codes.flatten().tolist())) > 3
    assert torch.equal(as_codes(loaded.look(shown[1:2])[0]), codes[1])


def test_any_size_is_seen(loaded):
    assert {tuple(tokens.shape) for size in ((3, 3), (20, 9)) for tokens in loaded.look(pictures(1, size=size))} == {
        (16, 2)
    }


def test_the_class_defaults_hold_without_a_file(saved, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(saved, folder)
    (folder / "preprocessor_config.json").unlink()
    bare = host(folder).load()
    assert torch.equal(torch.stack(bare.look(pictures())), torch.stack(host(saved).load().look(pictures())))


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


def test_a_conversions_decoder_gives_pixels(loaded, drawing):
    codes = torch.randint(12, (2, 16), generator=torch.Generator().manual_seed(0))
    expected = reference_pixels(load_file(drawing / "model.safetensors"), codes)
    assert loaded.pictures.network.decode(codes).allclose(expected, atol=1e-4)
    shown = loaded.pixels(codes)
    assert shown.shape == (2, 8, 8, 3) and shown.dtype == torch.uint8
    by_hand = ((expected + 1) / 0.0078).round().clamp(0, 255).permute(0, 2, 3, 1)
    assert float((shown.float() - by_hand).abs().max()) <= 1 and shown.float().std() > 1


def test_a_decoder_may_come_from_another_folder(saved, drawing, loaded, tmp_path):
    weights = load_file(drawing / "model.safetensors")
    alone = {n.partition("vqmodel.")[2]: w for n, w in weights.items() if "decoder." in n or "post_quant" in n}
    save_file(alone, tmp_path / "vqvae.safetensors")
    codes = torch.arange(16)[None] % 12
    assert torch.equal(host(saved, decoder=str(tmp_path)).load().pixels(codes), loaded.pixels(codes))


def test_levels_may_be_counted_from_the_coarsest(drawing, loaded, tmp_path):
    folder = tmp_path / "turned"
    shutil.copytree(drawing, folder)
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


def test_without_a_decoder_it_says_so(saved):
    with pytest.raises(SettingsError, match=r"no decoder of pictures.*Anole's does.*model\.host\.decoder"):
        host(saved).load().pixels(torch.zeros(1, 16, dtype=torch.long))


def test_a_decoder_that_does_not_fit_is_told(drawing, tmp_path):
    folder = tmp_path / "torn"
    shutil.copytree(drawing, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.vqmodel.decoder.conv_in.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SettingsError, match=r"does not fit: .*conv_in\.bias"):
        host(folder).load()


# words and codes ----------------------------------------------------------------------------------------------


def test_logits_are_the_classs_own_where_both_are_defined(loaded, own):
    shown = pictures(1)[0]
    codes = as_codes(loaded.look([shown])[0])
    first, last = written(loaded, "<racm3:break> <eoss>")
    asked = loaded.tokeniser.prompt("what colour is it ?")
    ids = torch.tensor([[first, *loaded.ids[codes].tolist(), last, *asked]])
    placed = torch.tensor([[first, *[written(loaded, "<image>")[0]] * 16, last, *asked]])
    expected = own(input_ids=placed, pixel_values=loaded.processor(shown)[None]).logits

    marks = loaded.marks()[None]
    parts = [marks[:, :1], loaded.embed_seen(as_tokens(codes))[None], marks[:, 1:], loaded.embed(torch.tensor([asked]))]
    states = loaded.states(torch.cat(parts, 1), torch.ones(1, ids.shape[1], dtype=torch.bool))
    said = loaded.logits(states)
    unsaid = torch.cat([loaded.ids, torch.tensor([first, last])])
    words = torch.ones(loaded.vocabulary, dtype=torch.bool).index_fill(0, unsaid, value=False)
    assert said[..., words].allclose(expected[..., words], atol=1e-6)
    assert bool((said[..., unsaid] == FAR).all()) and bool((expected[..., loaded.ids] < -1e30).all())
    unmasked = own.lm_head(own.model(input_ids=ids).last_hidden_state)
    assert loaded.code_logits(states).allclose(unmasked[..., loaded.ids], atol=1e-6)


def test_texts_are_those_the_class_generates(loaded, own):
    asked = torch.tensor([loaded.tokeniser.prompt("what colour is it ?")])
    never = written(loaded, "<racm3:break> <eoss>")
    expected = own.generate(input_ids=asked, max_new_tokens=5, do_sample=False, suppress_tokens=never)[
        0, asked.shape[1] :
    ]
    valid = torch.ones_like(asked, dtype=torch.bool)
    ids = loaded.write(loaded.embed(asked), valid, Decoding(most=5))[0]
    assert ids[ids >= 0].tolist() == expected[: int((ids >= 0).sum())].tolist()


# the family ---------------------------------------------------------------------------------------------------


def grown(loaded, path, **settings):
    named = {"name": "chameleon", "path": str(path)}
    own: dict[str, Any] = {"host": named, "most": 4, "drawing": Drawing(temperature=0.0), **settings}
    model = UnifiedModel(UnifiedModel.Settings(**own))
    model.host = loaded
    model.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": loaded.seen}))
    return model


def batch(loaded):
    """Return one sample that is read and one that is drawn."""
    columns = {
        "prompt": padded([loaded.tokeniser.prompt(text) for text in ("what colour ?", "draw a red star")]),
        "answer": padded([loaded.tokeniser.answer("red"), []]),
        "draws": torch.tensor([[0], [1]]),
    }
    return Batch({"image": torch.stack(loaded.look(pictures(2)))}, torch.full((2,), -1), columns=columns)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_family_learns_answers_and_draws(drawing, dtype):
    loaded = host(drawing, dtype=dtype).load()
    model, given = grown(loaded, drawing), batch(loaded)
    before = model.predict(given)
    assert before.logits.shape == (2 + 16, loaded.vocabulary + 12) and before.logits.dtype == torch.float32
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(2):  # the first step moves one half of a low-rank map, the second both
        output = model.train()(given)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(output.logits, output.targets).backward()
        optimiser.step()
    after = model.predict(given)
    loss = [torch.nn.functional.cross_entropy(each.logits, each.targets) for each in (before, after)]
    assert loss[1] < loss[0]
    assert len(model.answer(given)) == 2 and model.answer(given)[1] == ""
    codes = model.draw(given, random=torch.Generator())
    assert codes.shape == (2, 16) and model.unified.pixels(codes).shape == (2, 8, 8, 3)
    twin = model.rebuilt(model.state_tree())
    assert torch.equal(twin.predict(given).logits, after.logits)


def test_drawn_step_by_step_as_in_one_go(loaded, drawing):
    model = grown(loaded, drawing)
    given = batch(loaded).take(torch.tensor([1]))
    codes = model.draw(given, random=torch.Generator())
    again = model.predict(replace(given, values={"image": as_tokens(codes)})).logits[:, loaded.vocabulary :]
    assert again.argmax(-1).tolist() == codes[0].tolist()


def test_text_experts_cannot_change_a_drawing(loaded, drawing):
    model, given = grown(loaded, drawing, delta={"name": "decoupled", "dropout": 0.0}), batch(loaded)
    before = model.predict(given).logits
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(0.0 if ".picture." in name else torch.ones_like(p))
    after = model.predict(given).logits
    assert not torch.equal(after[:2], before[:2]) and torch.equal(after[2:], before[2:])


def test_half_precision_leaves_pictures_as_they_are(loaded, drawing):
    half = host(drawing, dtype="bfloat16").load()
    assert half.network.lm_head.weight.dtype == torch.bfloat16
    whole, kept = (each.network.model.vqmodel.state_dict() for each in (loaded, half))
    assert all(torch.equal(kept[name], weight) for name, weight in whole.items())
    assert all(map(torch.equal, half.look(pictures()), loaded.look(pictures())))


# what is told -------------------------------------------------------------------------------------------------


def test_a_folder_of_another_kind_is_told(tiny_lm):
    with pytest.raises(SettingsError, match=r"holds a 'llama'; host 'chameleon' is for"):
        host(tiny_lm).folder()
    with pytest.raises(SettingsError, match=r"model\.host\.path is missing"):
        host("")


def test_a_map_that_lacks_codes_is_told(saved, tmp_path):
    folder = tmp_path / "unnamed"
    shutil.copytree(saved, folder)
    config = json.loads((folder / "config.json").read_text())
    config["vocabulary_map"].pop("IMGIMGDZ")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match=r"no `vocabulary_map` entry for 1 of 12 codes of pictures, 3 first"):
        host(folder).load()


def test_weights_that_are_not_there_are_told(saved, tmp_path):
    folder = tmp_path / "torn"
    shutil.copytree(saved, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SettingsError, match=r"lacks 1 weights .* first 'model\.norm\.weight'"):
        host(folder).load()


def test_a_processor_of_another_size_is_told(saved, tmp_path):
    folder = tmp_path / "larger"
    shutil.copytree(saved, folder)
    config = json.loads((folder / "preprocessor_config.json").read_text())
    config["crop_size"] = config["size"] = {"height": 16, "width": 16}
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match=r"prepares pictures of \(16, 16\) pixels .* wants 8 × 8"):
        host(folder).load()


# the paper's size ---------------------------------------------------------------------------------------------


def test_mode_is_as_large_as_the_paper_says_beside_chameleon_7b(loaded):
    """E12: 60.46 M trainable parameters, from the shapes of Chameleon-7B alone."""
    from transformers import ChameleonConfig, ChameleonForConditionalGeneration

    names = {"<image>": 8711, **{code_name(code): 4 + code for code in range(8192)}}
    with torch.device("meta"):
        network = ChameleonForConditionalGeneration(ChameleonConfig(vocabulary_map=names))
        pictures = ChameleonPictures(network.model.vqmodel, {}, origin="nowhere")
        whole = Chameleon(network, loaded.tokeniser, pictures, loaded.processor)
        models = {name: UnifiedModel(UnifiedModel.Settings(host="words", delta=name)) for name in ("decoupled", "lora")}
        for model in models.values():
            model.host = whole
            model.grow_deltas(Outline(index=0, name="one", modalities=("image",), widths={"image": 2}))
    counts = {delta: sum(p.numel() for p in model.parameters()) for delta, model in models.items()}
    assert len(models["lora"].deltas) == 96 and counts["lora"] == 32 * 362_496
    assert counts["decoupled"] == 60_456_960 == 32 * (5 * 362_496 + 76_800)
    assert (whole.codes, whole.length, whole.vocabulary, whole.width) == (8192, 1024, 65536, 4096)
    held = sum(p.numel() for name, p in network.named_parameters() if "vqmodel" not in name)
    assert counts["decoupled"] / held == pytest.approx(0.0086, abs=5e-5)
