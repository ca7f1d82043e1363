"""`scenes`: a toy world of simple scenes, shown as image, sound or video, to be described and asked about."""

import json
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from polymnia.data.modality import Array
from polymnia.data.samples import Samples
from polymnia.data.source import Dataset, Source, check_modalities, register
from polymnia.data.splits import SPLITS
from polymnia.data.stage import Card
from polymnia.data.wording import ANSWERING, CAPTIONING, asked
from polymnia.errors import SettingsError
from polymnia.randomness import derive

MODALITIES = ("audio", "image", "video")
TASKS = (CAPTIONING, ANSWERING)
TOKENS, WIDTH, HIDDEN = 4, 24, 64

WORDS = {
    "colour": ("red", "green", "blue", "yellow"),
    "shape": ("star", "circle", "square", "triangle"),
    "count": ("one", "two", "three"),
    "place": ("left", "middle", "right"),
}
"""What can be asked of a scene, and the words that answer."""
QUESTIONS = {
    "colour": "what colour is it?",
    "shape": "what shape is it?",
    "count": "how many are there?",
    "place": "where is it?",
}
KINDS = tuple(WORDS)


class Scene(NamedTuple):
    """A scene: one word of each kind."""

    colour: str
    shape: str
    count: str
    place: str

    @property
    def caption(self) -> str:
        """The scene in words.

        Examples
        --------
        >>> Scene("red", "star", "two", "left").caption
        'there is two red star on the left'
        """
        where = "in" if self.place == "middle" else "on"
        return f"there is {self.count} {self.colour} {self.shape} {where} the {self.place}"

    def answer(self, kind: str) -> str:
        """Return the right answer to the question of a kind."""
        return str(getattr(self, kind))


SCENES = tuple(Scene(*words) for words in product(*WORDS.values()))
"""All scenes there are."""


def truth(caption: str, question: str) -> str | None:
    """Return the right answer to a question about the scene of a caption; None for any other caption or question.

    Examples
    --------
    >>> truth("there is two red star on the left", "where is it?")
    'left'
    """
    found = next((scene for scene in SCENES if scene.caption == caption), None)
    kind = next((kind for kind, asks in QUESTIONS.items() if asks == question), None)
    return None if found is None or kind is None else found.answer(kind)


@register("scenes")
class Scenes(Source):
    """A scene has a colour, a shape, a count and a place, 144 in all, and each modality shows it in a way of its own.

    A modality's tokens are ``tanh(c W₁ + b) W₂`` of the scene's one-hot code c, scaled to mean square 1 over all
    scenes, plus Gaussian noise; W₁, b and W₂ are drawn once a modality. A description is the scene's one caption;
    the four questions have one word as the right answer. Each task of each modality has samples of its own: no noise
    is seen twice. Columns: `task`, `prompt`, `answer`, `references`, `split`, `group`, `scene` (the caption: the truth
    by which targets that a method makes up can be judged), `kind` (of question, empty for captions).

    Cut it by `tasks` with `order: ["1"]` or `["2"]`.

    The words, the form of the maps and the noise are ours; the paper has no toy world.

    Examples
    --------
    >>> dataset = Scenes(Scenes.Settings(train_samples=4, test_samples=2)).load()
    >>> dataset.samples.values["image"].shape, dataset.samples[0].columns["answer"]
    ((5184, 4, 24), 'there is one red star on the left')
    """

    card = Card(
        title="A toy world of scenes in three modalities",
        licence="none needed: made on the spot",
        citation="none: made by Polymnia",
        notes="Made up: it shows whether a mechanism works, never how well a method does on real signals.",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What is drawn, and how much of it; the same settings always give the same numbers."""

        modalities: tuple[str, ...] = MODALITIES
        tasks: tuple[str, ...] = TASKS
        train_samples: int = 28
        """Samples a scene, modality and task; questions take turns."""
        valid_samples: int = 0
        test_samples: int = 4
        unseen: int = 0
        """Scenes that are tested and never trained, and as many that validate; 0: tests show all scenes, and differ
        from training by their noise alone."""
        noise: float = 0.2
        """Standard deviation of what is added to each number of a token; their mean square is 1."""
        data_seed: int = 0
        """Of maps, noise and unseen scenes."""

    settings: Settings

    def load(self) -> Dataset:
        """Return all samples, by split, task, modality and scene."""
        self._check()
        shown = self._shown()
        parts = [
            self._part(split, task, modality, shown[split])
            for split in SPLITS
            for task in TASKS
            for modality in MODALITIES
            if task in self.settings.tasks and modality in self.settings.modalities and len(shown[split])
        ]
        columns = {name: np.concatenate([part[name] for _, _, part in parts]) for name in parts[0][2]}
        ids, seen = columns.pop("id"), columns.pop("modality")
        values: dict[str, Array] = {
            m: np.zeros((len(ids), TOKENS, WIDTH), dtype=np.float32) for m in sorted(self.settings.modalities)
        }
        begin = 0
        for modality, tokens, _ in parts:
            values[modality][begin : begin + len(tokens)] = tokens
            begin += len(tokens)
        present = {m: torch.from_numpy(seen == m) for m in values}
        samples = Samples(ids, values, present, torch.full((len(ids),), -1), columns)
        return Dataset(samples=samples, class_names=(), kinds=dict.fromkeys(values, "table"))

    def _shown(self) -> dict[str, NDArray[np.int64]]:
        """Return the number of the scene that each sample of a split shows, the same for all tasks and modalities."""
        s, order = self.settings, self._random("unseen").permutation(len(SCENES))
        wanted = {split: getattr(s, f"{split}_samples") for split in SPLITS}
        held = {"test": order[: s.unseen], "valid": order[s.unseen : 2 * s.unseen if s.valid_samples else s.unseen]}
        rest = np.setdiff1d(order, np.concatenate([*held.values()]))
        scenes = {split: np.sort(held[split]) if s.unseen and split in held else rest for split in SPLITS}
        return {split: np.repeat(scenes[split], wanted[split]) for split in SPLITS}

    def _part(
        self, split: str, task: str, modality: str, shown: NDArray[np.int64]
    ) -> tuple[str, Array, dict[str, NDArray[np.str_]]]:
        """Return a modality, its tokens (n, T, d), and the samples' columns."""
        noise = self._random("noise", split, task, modality).standard_normal((len(shown), TOKENS, WIDTH))
        tokens = self.clean(modality)[shown] + self.settings.noise * noise
        rows, per_scene = [], getattr(self.settings, f"{split}_samples")
        for at, number in enumerate(shown.tolist()):
            scene, turn = SCENES[number], at % per_scene
            kind = KINDS[(number + turn) % len(KINDS)] if task == ANSWERING else ""  # fewer than four: still all kinds
            answer = scene.answer(kind) if kind else scene.caption
            name = f"{split}-{task}-{modality}-{number:03}-{turn}"
            group = f"scene-{number:03}" if self.settings.unseen else name
            rows.append((name, modality, split, task, asked(task, modality, QUESTIONS.get(kind, "")), answer,
                         json.dumps([answer]), group, scene.caption, kind))  # fmt: skip
        names = ("id", "modality", "split", "task", "prompt", "answer", "references", "group", "scene", "kind")
        columns = {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        return modality, tokens.astype(np.float32), columns

    def clean(self, modality: str) -> Array:
        """Return (144, T, d), all scenes as a modality shows them, without noise."""
        random = self._random("map", modality)
        codes = np.concatenate([np.eye(len(words))[self._numbers(kind)] for kind, words in WORDS.items()], 1)
        into = random.standard_normal((codes.shape[1], HIDDEN))
        bias, out = random.standard_normal(HIDDEN), random.standard_normal((HIDDEN, TOKENS * WIDTH))
        values = np.tanh(codes @ into + bias) @ out
        return (values / np.sqrt(np.square(values).mean())).reshape(len(SCENES), TOKENS, WIDTH)

    def _numbers(self, kind: str) -> list[int]:
        return [WORDS[kind].index(scene.answer(kind)) for scene in SCENES]

    def _random(self, *names: object) -> np.random.Generator:
        return np.random.default_rng(derive(self.settings.data_seed, "scenes", *names))

    def _check(self) -> None:
        s = self.settings
        check_modalities(s.modalities, dict.fromkeys(MODALITIES, "table"))
        if not s.tasks or set(s.tasks) - set(TASKS):
            raise SettingsError(f"stream.tasks: {', '.join(s.tasks) or 'none'} is given; accepted: {', '.join(TASKS)}")
        least = {"train_samples": 1, "valid_samples": 0, "test_samples": 1, "unseen": 0, "noise": 0}
        for name, lowest in least.items():
            if getattr(s, name) < lowest:
                raise SettingsError(f"stream.{name}: {getattr(s, name)} is given; at least {lowest} is needed")
        most = (len(SCENES) // max(map(len, WORDS.values())) - 1) // (2 if s.valid_samples else 1)
        if s.unseen > most:
            raise SettingsError(f"stream.unseen: {s.unseen} is given; at most {most}, so that each word is trained")
