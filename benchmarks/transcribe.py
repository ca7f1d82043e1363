"""`python -m benchmarks.transcribe`: does the converted Whisper-base still hear? Also: what an unpadded clip costs it.

Fetches the recorded English prompts of Asterisk and their texts (Debian packages, CC-BY-SA 3.0), transcribes some of
them with the whole network as `whisper_weights.checkpoint` makes it, and prints what was said and what was heard,
once over sound filled up to 30 seconds (as trained) and once over the clip alone (the encoder's default). The decoder
has never seen a clip end without silence: over the clip alone it often says the words again and again. So errors are
also counted over the first words heard, as many as were said, which is what the encoder's states can be blamed for.
"""

import argparse
import gzip
import re
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polymnia.data.fetch import data_folder, fetch_debian
from polymnia.data.modality import MODALITIES
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.whisper_weights import checkpoint

KNOWN = ("all-circuits-busy-now", "agent-pass", "tt-weasels")
"""Always among them."""
PROMPT = (50_258, 50_259, 50_359, 50_363)
"""Start, English, transcribe, without times."""


def prompts() -> dict[str, tuple[Path, str]]:
    """Return name → (sound, text) of the recorded prompts."""
    sounds = fetch_debian("asterisk-core-sounds-en-wav", data_folder("asterisk-core-sounds-en-wav"))
    texts = fetch_debian("asterisk-core-sounds-en", data_folder("asterisk-core-sounds-en"))
    listed = gzip.decompress(next(texts.rglob("core-sounds-en.txt.gz")).read_bytes()).decode()
    said = dict(line.split(": ", 1) for line in listed.splitlines() if ": " in line and not line.startswith(";"))
    found = {path.relative_to(next(sounds.rglob("en_US_f_Allison"))).with_suffix("").as_posix(): path
             for path in sorted(sounds.rglob("*.wav"))}  # fmt: skip
    return {name: (path, said[name].strip()) for name, path in found.items() if name in said}


def words(text: str) -> list[str]:
    """Return a text's words, without case and punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def errors(said: list[str], heard: list[str]) -> int:
    """Return how many words were replaced, left out or added.

    Examples
    --------
    >>> errors(["please", "hang", "up"], ["please", "hung", "up", "now"])
    2
    """
    row = list(range(len(heard) + 1))
    for at, word in enumerate(said, 1):
        last, row[0] = row[0], at
        for to, other in enumerate(heard, 1):
            last, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, last + (word != other))
    return row[-1]


@torch.inference_mode()
def greedily(model: Any, tokens: Tensor, longest: int) -> list[int]:
    """Return the most likely next pieces, one after the other, over the encoder's tokens (T, d)."""
    refused, pieces = list(model.generation_config.suppress_tokens), list(PROMPT)
    while len(pieces) < longest:
        states = model.model.decoder(torch.tensor([pieces]), encoder_hidden_states=tokens[None]).last_hidden_state
        scores = model.proj_out(states[0, -1])
        scores[refused] = -torch.inf
        if len(pieces) == len(PROMPT):
            scores[model.generation_config.begin_suppress_tokens] = -torch.inf
        pieces.append(int(scores.argmax()))
        if pieces[-1] == model.config.eos_token_id:
            break
    return pieces


@torch.inference_mode()
def main() -> None:
    """Transcribe, compare, print."""
    given = argparse.ArgumentParser(prog="python -m benchmarks.transcribe", description=__doc__)
    given.add_argument("--count", type=int, default=40, help="how many prompts, spread evenly (default 40)")
    asked = given.parse_args()

    from transformers import AutoFeatureExtractor, AutoTokenizer, WhisperForConditionalGeneration
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = str(checkpoint())
    model: Any = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    extractor: Any = AutoFeatureExtractor.from_pretrained(folder)
    kind, reader = ENCODERS.get("whisper-base"), MODALITIES.get("audio")()
    encoders = {pad: kind(kind.Settings(pad=pad)) for pad in (True, False)}

    everything = prompts()
    spread = list(everything)[:: max(1, len(everything) // asked.count)][: asked.count]
    total, alike = 0, []
    wrong, first, seconds = ({True: 0.0, False: 0.0} for _ in range(3))
    for name in dict.fromkeys([*(name for name in KNOWN if name in everything), *spread]):
        path, text = everything[name]
        sound: Any = reader.read(path)
        frames = extractor(sound, sampling_rate=16_000, return_tensors="pt")["input_features"]
        made = model.generate(
            frames, language="en", task="transcribe", do_sample=False, num_beams=1, max_new_tokens=200
        )
        tokens = {}
        for pad, encoder in encoders.items():
            before = time.perf_counter()
            tokens[pad] = encoder.encode([sound])[0]
            seconds[pad] += time.perf_counter() - before
        alike.append(torch.cosine_similarity(tokens[True], tokens[False]).mean())
        heard = {True: made[0].tolist(), False: greedily(model, tokens[False], len(made[0]) + 40)}
        lines = {pad: tokenizer.decode(pieces, skip_special_tokens=True).strip() for pad, pieces in heard.items()}
        total += len(words(text))
        for pad, line in lines.items():
            wrong[pad] += errors(words(text), words(line))
            first[pad] += errors(words(text), words(line)[: len(words(text))])
        print(f"{name} ({len(sound) / 16_000:.1f} s)\n  said     {text}\n  heard    {lines[True]}", flush=True)
        print(f"  unpadded {lines[False]}   (states' cosine {alike[-1]:.3f})", flush=True)
    print(f"\n{len(alike)} prompts, {total} words")
    for pad, label in ((True, "filled up to 30 s"), (False, "the clip alone")):
        shares = f"{wrong[pad] / total:6.1%} of the words wrong, {first[pad] / total:6.1%} in the first words"
        print(f"  {label:18} {shares}, {seconds[pad] / len(alike):.2f} s a clip")
    print(f"  states of the two: mean cosine {torch.stack(alike).mean():.3f}, lowest {torch.stack(alike).min():.3f}")


if __name__ == "__main__":
    main()
