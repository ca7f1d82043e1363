"""`concepts`: made-up clips in up to four modalities that show concepts, of which more come at every stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from polymnia.data.modality import Array
from polymnia.data.samples import Samples
from polymnia.data.source import Dataset, Source, check_modalities, register
from polymnia.data.stage import Card
from polymnia.errors import SettingsError
from polymnia.randomness import derive

MEDIATOR = "text"
WIDTHS = {"audio": 48, "speech": 40, "text": 32, "video": 64}
SPLITS = ("train", "valid", "test")


class Lot(NamedTuple):
    """The clips of one split of one stage: their concepts (n,), and which modalities they have."""

    stage: int
    split: str
    concepts: NDArray[np.int64]
    modalities: tuple[str, ...]


@register("concepts")
class Concepts(Source):
    """Clips of N steps; each step of each modality is a fixed nonlinear picture of a concept and of a nuisance.

    A clip has one concept, its label, and in each modality a nuisance of its own that holds for all of its steps. A
    step is ``W₂ tanh(W₁ [concept; nuisance] + b)``, scaled to mean square 1, plus Gaussian noise; W₁, b and W₂ are
    drawn once a modality. The mediator, text, shows its concept at every step; a step of another modality shows
    another concept of the stage's pool with probability `misaligned`. From the second stage on, the mean of the
    mediator's nuisance is moved, each stage elsewhere; the pool of concepts grows from stage to stage.

    Each stage has clips of its own. Training and validation clips hold two modalities, the new one and text; test
    clips hold all, so that transfer between modalities that were never paired can be tested, with a nuisance apart in
    each. So no clip and no nuisance of two modalities beside text is ever seen in training. Columns: `split`,
    `stage`, `group` (a clip is a group), `label`, and for each modality, `text shown` and so on, the concepts' numbers
    step by step, empty where it is missing.

    Cut it by `pairing` with `order` equal to `modalities`: a stage trains on its own pairs, and tests text and its
    new modality, on the test clips of all stages whose concepts are known by then.

    Source: comet.md §7 A, sizes as in its pilot, §8. Left open there, chosen here [X]: one concept a clip, the form of
    the renderers, the sizes of nuisance, noise and shift; other concepts come from the pool of the same stage.

    Examples
    --------
    >>> dataset = Concepts(Concepts.Settings(train_clips=36, valid_clips=0, test_clips=36)).load()
    >>> {m: values.shape for m, values in dataset.samples.values.items()}["video"]
    (216, 6, 64)
    >>> columns = dataset.samples.columns
    >>> bool(columns["text shown"][0] == " ".join(6 * [columns["label"][0].removeprefix("concept ")]))
    True
    """

    card = Card(
        title="A synthetic world of concepts in four modalities",
        licence="none needed: made on the spot",
        citation="none: made by Polymnia",
        notes="Made up: it shows whether a mechanism works, never how well a method does on real signals.",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What is drawn, and how much of it; the same settings always give the same numbers."""

        modalities: tuple[str, ...] = ("video", "audio", "speech")
        """The new modality of each stage; text is in all of them."""
        concepts: int = 24
        pools: tuple[int, ...] = (12, 18, 24)
        """Of each stage, how many of the concepts it shows, the first ones."""
        steps: int = 6
        train_clips: int = 720
        """Clips a stage; concepts take turns, so that they are equally frequent in whole rounds."""
        valid_clips: int = 72
        test_clips: int = 288
        misaligned: float = 0.25
        """Probability that a step of a modality other than text shows another concept."""
        nuisance: float = 0.5
        """Standard deviation of each number of a nuisance; those of a concept have 1."""
        shift: float = 2.0
        """Standard deviation of the numbers by which text's nuisance is moved in a later stage; the default was
        chosen so that a linear probe of the first stage's text reads the later stages' text clearly worse."""
        noise: float = 0.3
        """Standard deviation of what is added to each number of a step; their mean square is 1."""
        concept_width: int = 16
        nuisance_width: int = 8
        data_seed: int = 0
        """Of everything that is drawn; `seed` of a stream draws its class order."""

    settings: Settings

    def load(self) -> Dataset:
        """Return all clips, stage by stage and split by split."""
        self._check()
        asked, lots = self.settings, list(self._lots())
        modalities = sorted({MEDIATOR, *asked.modalities})
        made = {m: [self._clips(m, lot) for lot in lots] for m in modalities}
        stage = [np.full(len(lot.concepts), f"{lot.stage + 1}-{asked.modalities[lot.stage]}") for lot in lots]
        label = np.concatenate([lot.concepts for lot in lots])
        ids = np.array([f"{lot.stage + 1}-{lot.split}-{i}" for lot in lots for i in range(len(lot.concepts))])
        names = np.array([f"concept {c}" for c in range(asked.concepts)])
        columns = {
            "split": np.concatenate([np.full(len(lot.concepts), lot.split) for lot in lots]),
            "stage": np.concatenate(stage),
            "group": ids,
            "label": names[label],
        }
        shown = {f"{m} shown": np.array([line for _, lines in parts for line in lines]) for m, parts in made.items()}
        has = {m: np.concatenate([np.full(len(lot.concepts), m in lot.modalities) for lot in lots]) for m in modalities}
        samples = Samples(
            ids,
            {m: np.concatenate([values for values, _ in parts]) for m, parts in made.items()},
            {m: torch.from_numpy(mask) for m, mask in has.items()},
            torch.from_numpy(label),
            {**columns, **shown},
        )
        return Dataset(samples=samples, class_names=tuple(names.tolist()), kinds=dict.fromkeys(modalities, "table"))

    def _lots(self) -> Iterator[Lot]:
        asked = self.settings
        for stage, (new, pool) in enumerate(zip(asked.modalities, asked.pools, strict=True)):
            for split in SPLITS:
                there = asked.modalities if split == "test" else (new,)
                yield Lot(stage, split, self._turns(stage, split, pool), (*there, MEDIATOR))

    def _turns(self, stage: int, split: str, pool: int) -> NDArray[np.int64]:
        """Return (n,) concepts in rounds of all of the pool, each round in an order of its own."""
        clips = getattr(self.settings, f"{split}_clips")
        rounds = np.tile(np.arange(pool), (-(-clips // pool), 1))
        return self._random("turns", stage, split).permuted(rounds, axis=1).ravel()[:clips]

    def _clips(self, modality: str, lot: Lot) -> tuple[Array, list[str]]:
        """Return a lot's values (n, N, d) in float32 and the concepts shown in each clip; zero where it is missing."""
        asked, count = self.settings, len(lot.concepts)
        if modality not in lot.modalities:
            return np.zeros((count, asked.steps, WIDTHS[modality]), dtype=np.float32), [""] * count
        which = (modality, lot.stage, lot.split)
        shown = self._shown(modality, lot)
        moved = self.moved(lot.stage) if modality == MEDIATOR else 0.0
        drawn = self._random("nuisance", *which).standard_normal((count, 1, asked.nuisance_width))
        nuisance = moved + asked.nuisance * drawn
        values = self.render(modality, shown, np.repeat(nuisance, asked.steps, 1))
        values += asked.noise * self._random("noise", *which).standard_normal(values.shape)
        return values.astype(np.float32), [" ".join(map(str, row)) for row in shown.tolist()]

    def _shown(self, modality: str, lot: Lot) -> NDArray[np.int64]:
        """Return (n, N), the concept at each step."""
        asked, which = self.settings, (modality, lot.stage, lot.split)
        right = np.repeat(lot.concepts[:, None], asked.steps, 1)
        if modality == MEDIATOR or not asked.misaligned:
            return right
        pool = asked.pools[lot.stage]
        other = (right + self._random("other", *which).integers(1, pool, right.shape)) % pool
        return np.where(self._random("misaligned", *which).random(right.shape) < asked.misaligned, other, right)

    def render(self, modality: str, concepts: NDArray[np.int64], nuisance: Array) -> Array:
        """Return (…, d), how a modality shows concepts (…) under nuisances (…, n), without noise."""
        into, bias, out, scale = self._renderer(modality)
        inside = np.concatenate([self.meanings()[concepts], nuisance], -1)
        return np.tanh(inside @ into + bias) @ out / scale

    def meanings(self) -> Array:
        """Return (K, c), what the concepts are, whatever modality shows them."""
        return self._random("meanings").standard_normal((self.settings.concepts, self.settings.concept_width))

    def moved(self, stage: int) -> Array:
        """Return (n,), the mean of text's nuisance in a stage; zero in the first."""
        drawn = self._random("moved", stage).standard_normal(self.settings.nuisance_width)
        return self.settings.shift * drawn if stage else np.zeros_like(drawn)

    def _renderer(self, modality: str) -> tuple[Array, Array, Array, float]:
        """Return W₁ (c + n, h), b (h,), W₂ (h, d), and what makes the mean square 1 over random concepts."""
        asked, random, width = self.settings, self._random("renderer", modality), WIDTHS[modality]
        wide, hidden = asked.concept_width + asked.nuisance_width, 2 * width
        into = random.standard_normal((wide, hidden)) * 1.5 / np.sqrt(wide)  # beyond 1: where tanh is not linear
        bias, out = 0.5 * random.standard_normal(hidden), random.standard_normal((hidden, width))
        probe = random.standard_normal((500, wide))
        return into, bias, out, float(np.sqrt(np.square(np.tanh(probe @ into + bias) @ out).mean()))

    def _random(self, *names: object) -> np.random.Generator:
        return np.random.default_rng(derive(self.settings.data_seed, "concepts", *names))

    def _check(self) -> None:
        asked = self.settings
        check_modalities(asked.modalities, {m: "table" for m in WIDTHS if m != MEDIATOR})
        if len(set(asked.modalities)) < len(asked.modalities):
            raise SettingsError(f"stream.modalities names one twice: {', '.join(asked.modalities)}")
        least = {"steps": 1, "train_clips": 1, "valid_clips": 0, "test_clips": 1, "concept_width": 1,
                 "nuisance_width": 1, "nuisance": 0, "shift": 0, "noise": 0}  # fmt: skip
        for name, lowest in least.items():
            if getattr(asked, name) < lowest:
                raise SettingsError(f"stream.{name}: {getattr(asked, name)} is given; at least {lowest} is needed")
        if not 0 <= asked.misaligned <= 1:
            raise SettingsError(f"stream.misaligned: {asked.misaligned} is given; accepted: from 0 to 1")
        if len(asked.pools) != len(asked.modalities):
            raise SettingsError(
                f"stream.pools: {len(asked.pools)} are given for {len(asked.modalities)} stages; one for each is needed"
            )
        if asked.pools[0] < 2 or any(a > b for a, b in pairwise((*asked.pools, asked.concepts))):
            raise SettingsError(
                f"stream.pools: {list(asked.pools)} is given; at least 2 concepts each, none fewer than in the stage "
                f"before, and at most the {asked.concepts} concepts there are"
            )
