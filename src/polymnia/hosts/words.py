"""`words`: a small language model of a few words, trained from scratch on text alone, once a machine."""

import hashlib
import json
import logging
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from polymnia.data.sources.scenes import QUESTIONS
from polymnia.data.stage import Card
from polymnia.encoders.converted import WEIGHTS, converted
from polymnia.errors import SettingsError
from polymnia.hosts import reading
from polymnia.hosts.base import Host, register
from polymnia.hosts.texts import padded
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.randomness import derive, drawing_from

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

log = logging.getLogger(__name__)

VERSION = 1
"""Of how it is trained: a change here makes all anew."""
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
PADDING = 0


@register("words")
class Words(Host):
    """A Llama of two layers and a hundred words that can read, repeat and copy texts about scenes.

    It is trained on answers alone, by AdamW with a rate that falls linearly to 0, on one thread: the same settings
    give the same weights on machines of one kind. Its folder lies with the user's other caches, under a name made of
    the settings and of every text, so that it is made again when one of them changes.

    Heads, batch, rate, the wording of the texts and that the scenes of the quiz are kept out of them are our choice.
    """

    card = Card(
        title="A language model of a hundred words",
        licence="none needed: made on the spot",
        citation="none: made by Polymnia",
        notes="Trained in about a minute when it is first asked for, and kept.",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How large, and how it is trained."""

        layers: int = 2
        width: int = 64
        heads: int = 4
        steps: int = 1500
        batch: int = 24
        lr: float = 3e-3
        seed: int = 0
        """Of its weights and of the order of texts."""

        def __post_init__(self) -> None:
            for name in ("layers", "width", "heads", "steps", "batch"):
                if getattr(self, name) < 1:
                    raise SettingsError(f"model.host.{name}: {getattr(self, name)} is given; at least 1 is needed")
            if self.width % (2 * self.heads):
                raise SettingsError(
                    f"model.host.width: {self.width} is given; a multiple of twice the {self.heads} heads is needed"
                )
            if self.lr <= 0:
                raise SettingsError(f"model.host.lr: {self.lr} is given; a number above 0 is needed")

    settings: Settings

    def folder(self) -> Path:
        """Return the folder of the trained model; it is there whole or not at all, and made by one process at a time.

        Raises
        ------
        StateError
            The folder cannot be written.
        """
        return converted("words", self.fingerprint, self._make, megabytes=1)

    @property
    def fingerprint(self) -> str:
        """32 hex digits of the settings and of all texts."""
        whole = [VERSION, asdict(self.settings), reading.corpus(), _vocabulary()]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]

    def instructions(self) -> list[str]:
        """Return the texts that it was trained on, each with its answer."""
        return [f"{prompt} {answer}" for pairs in reading.corpus().values() for prompt, answer in pairs]

    def questions(self) -> list[str]:
        """Return the four questions that it can answer."""
        return list(QUESTIONS.values())

    def quiz(self) -> list[tuple[str, str]]:
        """Return questions about scenes that it was not trained on, each after the scene's caption."""
        return reading.quiz()

    def _make(self, folder: Path) -> None:
        from safetensors.torch import save_file

        started = perf_counter()
        held = over_words(_vocabulary()[len(SPECIAL) :])
        network = trained(self.settings, Tokeniser(held))
        network.config.save_pretrained(folder)  # the network's own `save_pretrained` shows a bar
        save_file(own_weights(network), folder / WEIGHTS, metadata={"format": "pt"})
        held.save_pretrained(folder)
        log.info("language model of words trained in %.0f s", perf_counter() - started)


def _vocabulary() -> list[str]:
    from tokenizers import pre_tokenizers

    splitting = pre_tokenizers.Whitespace()
    return [*SPECIAL, *reading.vocabulary(lambda text: [piece for piece, _ in splitting.pre_tokenize_str(text)])]


def word_tokeniser(texts: Iterable[str]) -> Any:
    """Return a tokeniser of transformers for all words of texts."""
    from tokenizers import pre_tokenizers

    splitting = pre_tokenizers.Whitespace()
    return over_words(sorted({piece for text in texts for piece, _ in splitting.pre_tokenize_str(text.lower())}))


def over_words(words: Iterable[str]) -> Any:
    """Return a tokeniser of transformers: a word or a mark is a token, and small letters are as large ones."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pad, begin, end, unknown = SPECIAL
    known = {word: i for i, word in enumerate((*SPECIAL, *words))}
    inner = Tokenizer(models.WordLevel(known, unk_token=unknown))
    inner.normalizer, inner.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=pad, bos_token=begin, eos_token=end, unk_token=unknown,
        clean_up_tokenization_spaces=True,
    )  # fmt: skip


def trained(settings: Words.Settings, tokeniser: Tokeniser) -> "LlamaForCausalLM":
    """Return the network of transformers, trained on the corpus; loss on answers and their ends alone."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokeniser.held), hidden_size=settings.width, intermediate_size=4 * settings.width,
        num_hidden_layers=settings.layers, num_attention_heads=settings.heads, max_position_embeddings=512,
        tie_word_embeddings=True, pad_token_id=PADDING, bos_token_id=tokeniser.begin[0], eos_token_id=tokeniser.end,
    )  # fmt: skip
    with one_thread(), drawing_from(settings.seed, "words", "initialisation"):
        network = LlamaForCausalLM(config).train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=0.01, fused=True)
        falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=settings.steps)
        for ids, answers in _batches(settings, tokeniser):
            logits = network(input_ids=ids.clamp(min=0), attention_mask=(ids >= 0).long(), use_cache=False).logits
            at = answers[:, 1:]
            loss = cross_entropy(logits[:, :-1][at], ids[:, 1:][at])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            falling.step()
    return network.eval()


def own_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the network's weights, each once: the output map shares those of the words."""
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def _batches(settings: Words.Settings, tokeniser: Tokeniser) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ids (B, L), -1 behind each end, and which of them are an answer's; each kind of text equally often."""
    kinds = [
        [(tokeniser.prompt(prompt), tokeniser.answer(answer)) for prompt, answer in pairs]
        for pairs in reading.corpus().values()
    ]
    random = torch.Generator().manual_seed(derive(settings.seed, "words", "order"))
    for _ in range(settings.steps):
        drawn = torch.rand(2, settings.batch, generator=random).tolist()
        chosen = [kinds[int(kind * len(kinds))] for kind in drawn[0]]
        pairs = [texts[int(at * len(texts))] for texts, at in zip(chosen, drawn[1], strict=True)]
        ids = padded([[*prompt, *answer] for prompt, answer in pairs])
        begin = torch.tensor([len(prompt) for prompt, _ in pairs])
        yield ids, (ids >= 0) & (torch.arange(ids.shape[1]) >= begin[:, None])


@contextmanager
def one_thread() -> Generator[None, None, None]:
    """Run the block on one thread: sums in one order, and layers this narrow are slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
