"""Tokens per CPU second of a language model's training step and of its writing, against a plain transformers loop."""

import gc
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.encoders.quiet import quiet
from polymnia.hosts.base import HOSTS
from polymnia.models.language_model import LanguageModel

ROWS, SEEN, PROMPT, ANSWER, WRITTEN, WIDTH = 8, 16, 12, 16, 24, 64
"""Of a batch: samples, tokens of each one's picture, of its prompt, of its answer, those written; encoder's width."""
RANK, ALPHA, RATE, PLACES = 8, 32.0, 1e-3, ("q_proj", "v_proj")
GOAL = 0.95
LAP = 0.5
"""Seconds a lap lasts at least: short steps are repeated."""


# hosts ----------------------------------------------------------------------------------------------------------


def small(folder: Path) -> dict[str, str]:
    """Make a random Llama of four layers of 256, and return how a model names it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{at}" for at in range(1996))]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=256, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=4,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    with quiet():
        LlamaForCausalLM(config).save_pretrained(folder)
        PreTrainedTokenizerFast(
            tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        ).save_pretrained(folder)
    return {"name": "checkpoint", "path": str(folder)}


# the two that take turns ----------------------------------------------------------------------------------------


class PlainLoRA(nn.Module):
    """A linear layer with LoRA around it, as one writes it for a paper."""

    def __init__(self, layer: nn.Linear, down: Tensor, up: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.down, self.up = nn.Parameter(down.clone()), nn.Parameter(up.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + (x @ self.down.T @ self.up.T) * (ALPHA / RANK)


class Plain:
    """A transformers model with LoRA in its layers and a projector before it, trained on labels."""

    def __init__(self, ours: LanguageModel, folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        with quiet():
            self.lm: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.lm.requires_grad_(False).eval()
        for key, delta in ours.deltas.items():
            where, _, last = key.replace("/", ".").rpartition(".")
            parent, low = self.lm.get_submodule(where), delta.low_rank
            setattr(parent, last, PlainLoRA(getattr(parent, last), low.down.data, low.up.data))
        width = self.lm.config.hidden_size
        self.projector = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, width), nn.GELU(), nn.Linear(width, width))
        bridge = ours.bridges["image"]
        self.projector.load_state_dict(
            dict(zip(self.projector.state_dict(), bridge.state_dict().values(), strict=True))
        )
        self.tokeniser = ours.loaded.tokeniser
        self.cue, self.end = torch.tensor([self.tokeniser.ids(" image: ")]), self.tokeniser.end
        held = [p for p in (*self.lm.parameters(), *self.projector.parameters()) if p.requires_grad]
        self.optimiser = torch.optim.AdamW(held, lr=RATE)

    def embedded(self, batch: Batch, names: tuple[str, ...]) -> Tensor:
        embed = self.lm.get_input_embeddings()
        seen = self.projector(batch.values["image"])
        cue = embed(self.cue).expand(len(seen), -1, -1)
        return torch.cat([cue, seen, *(embed(batch.columns[name]) for name in names)], 1)

    def loss(self, batch: Batch) -> Tensor:
        logits = self.lm(
            inputs_embeds=self.embedded(batch, ("prompt", "answer")), use_cache=False, logits_to_keep=ANSWER + 1
        ).logits
        return cross_entropy(logits[:, :-1].flatten(0, 1), batch.columns["answer"].flatten())

    @torch.inference_mode()
    def write(self, batch: Batch) -> list[str]:
        embedded = self.embedded(batch, ("prompt",))
        found = self.lm.generate(
            inputs_embeds=embedded, attention_mask=torch.ones(embedded.shape[:2], dtype=torch.long),
            max_new_tokens=WRITTEN, do_sample=False, eos_token_id=self.end, pad_token_id=self.end,
        )  # fmt: skip
        return [self.tokeniser.text(row) for row in found.tolist()]


class Ours:
    """The language model family, as a method's step uses it."""

    def __init__(self, host: dict[str, str] | str) -> None:
        settings = LanguageModel.Settings(host=host, delta={"name": "lora", "rank": RANK, "alpha": ALPHA},
                                          places=PLACES, most=WRITTEN)  # fmt: skip
        self.model = LanguageModel(settings)
        self.model.grow(Outline(index=0, name="one", task="captioning", modalities=("image",), widths={"image": WIDTH}))
        self.optimiser = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=RATE)

    def loss(self, batch: Batch) -> Tensor:
        return self.model.task_loss(self.model(batch))

    def write(self, batch: Batch) -> list[str]:
        return self.model.answer(batch)


def step(runner: Any, batch: Batch) -> float:
    """One step of training; return the loss."""
    runner.optimiser.zero_grad(set_to_none=True)
    loss = runner.loss(batch)
    loss.backward()
    runner.optimiser.step()
    return float(loss.detach())


# measuring ------------------------------------------------------------------------------------------------------


def batches(vocabulary: int, count: int) -> list[Batch]:
    """Return made-up batches without padding: all rows are equally long."""
    generator = torch.Generator().manual_seed(0)
    lengths = {"prompt": PROMPT, "answer": ANSWER}
    return [
        Batch(
            {"image": torch.randn(ROWS, SEEN, WIDTH, generator=generator)},
            torch.full((ROWS,), -1),
            columns={n: torch.randint(4, vocabulary, (ROWS, t), generator=generator) for n, t in lengths.items()},
        )
        for _ in range(count)
    ]


def lap(work: Callable[[Batch], Any], given: list[Batch]) -> float:
    """Return the CPU seconds of one call, of as many as fill a lap."""
    began, calls = time.process_time(), 0
    while not calls or time.process_time() - began < LAP:
        work(given[calls % len(given)])
        calls += 1
    return (time.process_time() - began) / calls


def in_turns(works: dict[str, Callable[[Batch], Any]], given: list[Batch], rounds: int) -> dict[str, list[float]]:
    """Return each one's seconds by round; who begins changes."""
    laps: dict[str, list[float]] = {who: [] for who in works}
    for work in works.values():
        work(given[0])  # lazy imports, the allocator
    for at in range(rounds):
        for who in sorted(works, reverse=bool(at % 2)):
            laps[who].append(lap(works[who], given))
    return laps


def row(what: str, host: str, laps: dict[str, list[float]], tokens: int) -> dict[str, Any]:
    ratios = [b / a for a, b in zip(laps["ours"], laps["plain"], strict=True)]
    return {
        "host": host, "what": what, "ratio": round(median(ratios), 3), "goal": GOAL, "met": median(ratios) >= GOAL,
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        **{f"{who}_tokens_per_cpu_second": round(tokens / median(taken)) for who, taken in laps.items()},
    }  # fmt: skip


def measured(name: str, host: dict[str, str] | str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Return the rows of one host: what is compared agrees first."""
    ours = Ours(host)
    plain = Plain(ours.model, folder)
    given = batches(ours.model.loaded.vocabulary, 4)
    if ours.write(given[0]) != plain.write(given[0]):
        raise AssertionError(f"{name}: ours and the plain one write different texts")
    torch.testing.assert_close(ours.loss(given[0]), plain.loss(given[0]), rtol=1e-4, atol=1e-4)
    rows = [
        row("writing", name, in_turns({"ours": ours.write, "plain": plain.write}, given[:1], rounds), ROWS * WRITTEN)
    ]
    read = ROWS * (len(plain.tokeniser.ids(" image: ")) + SEEN + PROMPT + ANSWER)
    works = {
        who: lambda batch, runner=runner: step(runner, batch) for who, runner in (("ours", ours), ("plain", plain))
    }
    rows.append(row("training step", name, in_turns(works, given, rounds), read))
    torch.testing.assert_close(ours.loss(given[0]), plain.loss(given[0]), rtol=0.2, atol=0.2)
    return rows


def teacher(host: dict[str, str] | str) -> dict[str, Any]:
    """Return what a teacher takes beside its student, in bytes, and what a second model would take."""
    model = Ours(host).model
    copied = model.frozen_copy()
    if copied.loaded is not model.loaded:
        raise AssertionError("the teacher has a host of its own")
    own = sum(p.numel() * p.element_size() for p in (*copied.parameters(), *copied.buffers()))
    shared = sum(p.numel() * p.element_size() for p in model.loaded.network.parameters())
    return {"own_bytes": own, "second_model_bytes": own + shared}


def measure(*, rounds: int = 9, only: tuple[str, ...] = (), say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure both hosts, one thread; smollm2 where its wheel is installed."""
    torch.set_num_threads(1)
    rows, teachers = [], []
    with tempfile.TemporaryDirectory(prefix="polymnia-language-") as folder:
        hosts: dict[str, Callable[[], tuple[Any, Path]]] = {"small": lambda: (small(Path(folder)), Path(folder))}
        if HOSTS.get("smollm2").available():
            hosts["smollm2"] = lambda: ("smollm2", HOSTS.get("smollm2")().folder())
        for name, make in hosts.items():
            if only and name not in only:
                continue
            host, where = make()
            gc.collect()
            rows += measured(name, host, where, rounds)
            teachers.append({"host": name, **teacher(host)})
            for found in (*rows[-2:], teachers[-1]):
                say(f"language: {found}")
    return {
        "rows": rows, "teachers": teachers, "rounds": rounds, "threads": torch.get_num_threads(),
        "clock": "CPU time of the process",
        "settings": {"rows": ROWS, "seen": SEEN, "prompt": PROMPT, "answer": ANSWER, "written": WRITTEN, "rank": RANK},
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "transformers": version("transformers")},
    }  # fmt: skip
