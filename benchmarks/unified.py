"""Tokens per CPU second of a training step of decoupled experts, against one map of equal active parameters."""

import gc
import platform
from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.language import in_turns, step
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.hosts.base import HOSTS
from polymnia.hosts.joint_vocabulary import JointVocabulary
from polymnia.hosts.pictures import PictureTokeniser
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.hosts.unified import Unified, as_tokens
from polymnia.layers.deltas.sizes import trainable
from polymnia.models.unified_model import UnifiedModel

ROWS, PROMPT, ANSWER = 8, 12, 16
"""Of a batch: samples, tokens of each one's prompt and of its answer; a picture is as long as the host has it."""
EXPERTS, RANK, DROPOUT, RATE = 4, 8, 0.05, 1e-3
GOAL = 0.85


# hosts ----------------------------------------------------------------------------------------------------------


class Codes(PictureTokeniser):
    """Codes alone: batches here are made of codes, and no picture is looked at."""

    side, codes, length = 16, 64, 16

    def encode(self, pixels: Tensor) -> Tensor:
        raise NotImplementedError("the benchmark's batches are made of codes")

    def decode(self, codes: Tensor) -> Tensor:
        raise NotImplementedError("the benchmark looks at no picture")


def small() -> Unified:
    """Return a random Llama of four layers of 256 over words, two marks and 64 codes."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{at}" for at in range(1996))]
    n = len(words)
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    tokeniser = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=n + 2 + Codes.codes, hidden_size=256, intermediate_size=1024, num_hidden_layers=4,
        num_attention_heads=4, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    ids = torch.arange(n + 2, n + 2 + Codes.codes)
    return JointVocabulary(LlamaForCausalLM(config), Tokeniser(tokeniser), Codes(), ids=ids, marks=(n, n + 1))


# the two that take turns ----------------------------------------------------------------------------------------


class Learner:
    """The unified family with a delta, as a method's step uses it."""

    def __init__(self, host: Unified, delta: dict[str, Any]) -> None:
        self.model = UnifiedModel(UnifiedModel.Settings(host="words", delta=delta))
        self.model.host = host
        widths = {"image": host.seen}
        self.model.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths=widths))
        self.optimiser = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=RATE)

    def loss(self, batch: Batch) -> Tensor:
        return self.model.task_loss(self.model(batch))


def batches(host: Unified, count: int) -> list[Batch]:
    """Return made-up questions about pictures, without padding: all rows are equally long."""
    generator = torch.Generator().manual_seed(0)
    lengths = {"prompt": PROMPT, "answer": ANSWER}
    found = []
    for _ in range(count):
        seen = as_tokens(torch.randint(host.codes, (ROWS, host.length), generator=generator))
        if host.seen > 2:
            seen = torch.cat([seen, torch.randn(ROWS, host.length, host.seen - 2, generator=generator)], -1)
        ids = {n: torch.randint(4, host.vocabulary // 2, (ROWS, t), generator=generator) for n, t in lengths.items()}
        found.append(Batch({"image": seen}, torch.full((ROWS,), -1), columns=ids))
    return found


def equal_active(decoupled: dict[str, Any], shapes: list[tuple[int, int]], share: float) -> int:
    """Return the rank at which one map works with as many numbers on a token as decoupled experts do on average.

    Parameters
    ----------
    decoupled : dict
        Their settings; all experts work on a text's token, the other map on a picture's.
    shapes : list of (int, int)
        Of the layers.
    share : float
        Of tokens that are a picture's.
    """
    experts = trainable({**decoupled, "image": "none"}, shapes)
    active = (1 - share) * experts + share * (trainable(decoupled, shapes) - experts)
    return round(active / trainable({"name": "lora", "rank": 1}, shapes))


# measuring ------------------------------------------------------------------------------------------------------


def measured(name: str, host: Unified, rounds: int) -> list[dict[str, Any]]:
    """Return the rows of one host: against equal active and against equal trained parameters."""
    decoupled = {"name": "decoupled", "experts": EXPERTS, "rank": RANK, "dropout": DROPOUT}
    ours, given = Learner(host, decoupled), batches(host, 4)
    kinds = ours.model.sequence(given[0]).kinds
    shapes = [(at.in_features, at.out_features) for at in host.places(ours.model.settings.places).values()]
    rank = equal_active(decoupled, shapes, float(kinds.float().mean()))
    ranks = {"equal active parameters": rank, "equal trained parameters": (EXPERTS + 1) * RANK}
    plain = {what: Learner(host, {"name": "lora", "rank": r, "dropout": DROPOUT}) for what, r in ranks.items()}
    for each in plain.values():  # new deltas are nothing: all do the same work
        torch.testing.assert_close(ours.loss(given[0]), each.loss(given[0]), rtol=0, atol=0)
    works: dict[str, Callable[[Batch], Any]] = {
        who: lambda batch, runner=runner: step(runner, batch) for who, runner in (("decoupled", ours), *plain.items())
    }
    laps = in_turns(works, given, rounds)
    return [
        ratio({"ours": laps["decoupled"], "plain": laps[what]}, kinds.numel(), host=name, what=what, rank=ranks[what])
        for what in ranks
    ]


def ratio(laps: dict[str, list[float]], tokens: int, **said: Any) -> dict[str, Any]:
    """Return a row: the median over rounds of what ours does in the time of the other."""
    ratios = [b / a for a, b in zip(laps["ours"], laps["plain"], strict=True)]
    return {
        **said, "ratio": round(median(ratios), 3), "goal": GOAL, "met": median(ratios) >= GOAL,
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        **{f"{who}_tokens_per_cpu_second": round(tokens / median(taken)) for who, taken in laps.items()},
    }  # fmt: skip


def measure(*, rounds: int = 25, only: tuple[str, ...] = (), say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, one thread: a random host, and the one that is trained here."""
    torch.set_num_threads(1)
    hosts: dict[str, Callable[[], Any]] = {"small": small}
    if "sketch" in HOSTS and HOSTS.get("sketch").available():
        hosts["sketch"] = lambda: HOSTS.get("sketch")().load()
    rows = []
    for name, make in hosts.items():
        if not only or name in only:
            gc.collect()
            rows += measured(name, make(), rounds)
            for found in rows[-2:]:
                say(f"unified: {found}")
    return {
        "rows": rows, "rounds": rounds, "threads": torch.get_num_threads(), "clock": "CPU time of the process",
        "settings": {"rows": ROWS, "prompt": PROMPT, "answer": ANSWER, "experts": EXPERTS, "rank": RANK,
                     "dropout": DROPOUT},
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "transformers": version("transformers")},
    }  # fmt: skip
