"""Tiny checkpoints of hosts that read and draw, of the classes of transformers, saved."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

WORDS = "a the red blue star dot what colour is it draw ? ."


def named_code(code):
    """Return the name that a code has in the vocabulary: its digits as letters."""
    return f"IMGIMG{''.join('ABCDEFGHIJ'[int(digit)] for digit in str(code))}Z"


@pytest.fixture
def code_name():
    """Return the function that names a code."""
    return named_code


@pytest.fixture(scope="session")
def tiny_chameleon(tmp_path_factory):
    """Return the folder of a tiny Chameleon: pictures of 8 × 8, 16 codes a picture out of 12, no decoder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        ChameleonConfig,
        ChameleonForConditionalGeneration,
        ChameleonImageProcessorPil,
        PreTrainedTokenizerFast,
    )

    special = "<s> <pad> </s> <unk> <racm3:break> <eoss> <image> <sep>"
    order = [7, 2, 11, 0, 1, 10, 3, 9, 4, 8, 5, 6]  # the ids of codes are in no order
    names = [*special.split(), *(named_code(code) for code in order), *WORDS.split()]
    vocabulary = {name: i for i, name in enumerate(names)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = {"boi_token": "<racm3:break>", "eoi_token": "<eoss>", "image_token": "<image>"}
    tokeniser = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        sep_token="<sep>", extra_special_tokens=marks,
    )  # fmt: skip
    vq = {
        "embed_dim": 6, "num_embeddings": 12, "latent_channels": 6, "resolution": 8, "base_channels": 32,
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


@pytest.fixture(scope="session")
def tiny_anole(tiny_chameleon, tmp_path_factory):
    """Return a copy of the tiny Chameleon with a decoder, named and ordered as community conversions are."""
    folder = tmp_path_factory.mktemp("anole") / "model"
    shutil.copytree(tiny_chameleon, folder)
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


@pytest.fixture(scope="session")
def tiny_janus(tmp_path_factory):
    """Return the folder of a tiny Janus: pictures of 8 × 8, 16 codes a picture out of 12, 16 features of width 10."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        JanusConfig,
        JanusForConditionalGeneration,
        JanusImageProcessorPil,
        LlamaConfig,
        PreTrainedTokenizerFast,
    )

    special = "<s> <pad> </s> <unk> <begin_of_image> <end_of_image> <image_placeholder> <|User|> <|Assistant|>"
    vocabulary: dict[str, int] = {name: i for i, name in enumerate(f"{special} {WORDS} :".split())}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = {"boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_placeholder>"}
    tokeniser = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        extra_special_tokens=marks | {"user": "<|User|>", "assistant": "<|Assistant|>"},
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        bos_token_id=0, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    vision = {
        "hidden_size": 10, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8, "patch_size": 2,
        "projection_dim": 16, "num_image_tokens": 16, "mlp_ratio": 2.0,
    }  # fmt: skip
    vq = {
        "embed_dim": 6, "num_embeddings": 12, "latent_channels": 6, "base_channels": 32, "channel_multiplier": [1, 1],
        "num_res_blocks": 1, "projection_dim": 16, "image_token_embed_dim": 16,
    }  # fmt: skip
    config = JanusConfig(text_config=text, vision_config=vision, vq_config=vq, image_token_id=6)
    torch.manual_seed(0)
    network = JanusForConditionalGeneration(config)
    with torch.no_grad():  # the initialisation is so narrow that all pictures would have one code
        network.model.generation_embeddings.weight.normal_()
        network.model.generation_head.vision_head.weight.normal_()
        network.model.vqmodel.quantize.embedding.weight.copy_(normalize(torch.randn(12, 6), dim=-1))
        for layer in (
            network.model.vqmodel.encoder.conv_out,
            network.model.vqmodel.quant_conv,
            network.model.vqmodel.decoder.conv_out,
        ):
            layer.weight.normal_(std=0.5)
    folder = tmp_path_factory.mktemp("janus")
    network.save_pretrained(folder)
    tokeniser.save_pretrained(folder)
    JanusImageProcessorPil(
        size={"height": 8, "width": 8}, image_mean=[0.5] * 3, image_std=[0.5] * 3, min_size=1
    ).save_pretrained(folder)
    return folder
