"""`patterns`: made-up audio and video tokens whose label is known to need one of them, or both."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from polymnia.data.modality import Array
from polymnia.data.samples import Samples
from polymnia.data.source import Dataset, Source, register
from polymnia.data.stage import Card
from polymnia.errors import SettingsError
from polymnia.randomness import derive

MODALITIES = ("audio", "video")
SPLITS = ("train", "valid", "test")
RULES = ("sum", "pairs")

Cells = list[list[tuple[int, int]]]
"""Class → the pairs (audio pattern, video pattern) that it may show."""


@register("patterns")
class Patterns(Source):
    """A pattern i in `audio` and a pattern j in `video`, each repeated over tokens and buried in noise.

    A token is its pattern plus Gaussian noise of the standard deviation `noise`; a pattern is a random direction
    scaled to mean square 1, so that `noise: 1` means as much noise as signal in each number, at any width.

    `rule: sum` labels by (i + j) mod `classes`, and every pair (i, j) of a label is equally frequent in every split:
    each modality alone, and any sum of two functions of one modality each, is exactly at chance over pairs.
    `rule: pairs` makes each class one pair (i, j), drawn among all pairs, so that classes share patterns.

    `domains: n` repeats every split n times; from the second domain on, all tokens of a modality are turned by a
    random rotation, one a modality and domain. Columns: `split`, `domain`, `audio` and `video` (the patterns' numbers).

    Source: made for the controlled experiments on cross-modality adapters (E1: `sum` with 4 × 4 patterns; E3 and the
    class-incremental toy: `pairs`); rotations as in Lopez-Paz, Ranzato 2017, section 5.1.

    Examples
    --------
    >>> dataset = Patterns(Patterns.Settings(train_samples=8, test_samples=4)).load()
    >>> dataset.samples.values["audio"].shape, dataset.samples.values["video"].shape
    ((48, 6, 24), (48, 6, 32))
    """

    card = Card(
        title="Synthetic patterns in two modalities",
        licence="none needed: made on the spot",
        citation="none: made by Polymnia",
        notes="Made up: it shows whether a mechanism works, never how well a method does on real signals.",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What is drawn, and how much of it; the same settings always give the same numbers."""

        rule: str = "sum"
        """sum, or pairs."""
        classes: int = 4
        patterns: tuple[int, int] = (4, 4)
        """How many in audio, how many in video."""
        noise: float = 1.0
        tokens: int = 6
        widths: tuple[int, int] = (24, 32)
        """Of an audio token, of a video token."""
        train_samples: int = 64
        """Samples a class and domain."""
        valid_samples: int = 0
        test_samples: int = 64
        domains: int = 1
        data_seed: int = 0
        """Of patterns, pairs, rotations and noise; `seed` of a stream draws its class order."""

    settings: Settings

    def load(self) -> Dataset:
        """Return all samples, by split, domain and class."""
        asked = self.settings
        self._check()
        cells = sum_cells(asked.classes, asked.patterns) if asked.rule == "sum" else self._pairs()
        plan = list(self._plan(cells))
        n = len(plan)
        column = {
            name: np.array([str(row[at]) for row in plan]) for at, name in enumerate(("split", "domain", "label"))
        }
        shown = {m: np.array([row[3][at] for row in plan]) for at, m in enumerate(MODALITIES)}
        columns = {**column, **{m: pattern.astype(str) for m, pattern in shown.items()}}
        columns["domain"] = np.char.add("domain-", columns["domain"])
        samples = Samples(
            np.array([f"{split}-{domain}-{label}-{number}" for split, domain, label, _, number in plan]),
            {m: self._values(m, shown[m], column) for m in MODALITIES},
            {m: torch.ones(n, dtype=torch.bool) for m in MODALITIES},
            torch.tensor([label for _, _, label, _, _ in plan]),
            columns,
        )
        names = tuple(f"class {c}" for c in range(asked.classes))
        return Dataset(samples=samples, class_names=names, kinds=dict.fromkeys(MODALITIES, "table"))

    def _plan(self, cells: Cells) -> Iterator[tuple[str, int, int, tuple[int, int], int]]:
        """Yield (split, domain, class, pair, number within the class) of every sample."""
        for split in SPLITS:
            for domain in range(self.settings.domains):
                for label, pairs in enumerate(cells):
                    for number in range(getattr(self.settings, f"{split}_samples")):
                        yield split, domain, label, pairs[number % len(pairs)], number

    def _values(self, modality: str, shown: NDArray[np.int64], column: dict[str, NDArray[np.str_]]) -> Array:
        """Return (N, T, d) in float32: patterns plus noise, turned as their domain is."""
        at = MODALITIES.index(modality)
        width, values = self.settings.widths[at], self.patterns(modality)[shown][:, None]
        result = np.empty((len(shown), self.settings.tokens, width), dtype=np.float32)
        for split in SPLITS:
            for domain in range(self.settings.domains):
                rows = (column["split"] == split) & (column["domain"] == str(domain))
                noise = self._random("noise", modality, split, domain).standard_normal(
                    (rows.sum(), self.settings.tokens, width)
                )
                result[rows] = (values[rows] + self.settings.noise * noise) @ self.turn(modality, domain)
        return result

    def patterns(self, modality: str) -> Array:
        """Return the patterns (I, d) of a modality, of mean square 1."""
        at = MODALITIES.index(modality)
        drawn = self._random("patterns", modality).standard_normal(
            (self.settings.patterns[at], self.settings.widths[at])
        )
        return drawn / np.sqrt(np.square(drawn).mean(1, keepdims=True))

    def turn(self, modality: str, domain: int) -> Array:
        """Return the rotation (d, d) of a modality in a domain, uniformly drawn; none in the first domain.

        Source: Mezzadri 2007, "How to generate random matrices from the classical compact groups", section 5.
        """
        width = self.settings.widths[MODALITIES.index(modality)]
        if domain == 0:
            return np.eye(width)
        basis, triangle = np.linalg.qr(self._random("turn", modality, domain).standard_normal((width, width)))
        basis *= np.sign(np.diag(triangle))
        basis[:, 0] *= np.sign(np.linalg.det(basis))  # a rotation, not a reflection
        return basis

    def _pairs(self) -> Cells:
        """Return one pair a class, drawn without repetition."""
        audio, video = self.settings.patterns
        drawn = self._random("pairs").permutation(audio * video)[: self.settings.classes]
        return [[divmod(int(pair), video)] for pair in drawn]

    def _random(self, *names: object) -> np.random.Generator:
        return np.random.default_rng(derive(self.settings.data_seed, "patterns", *names))

    def _check(self) -> None:
        asked = self.settings
        audio, video = asked.patterns
        if asked.rule not in RULES:
            raise SettingsError(f"stream.rule: {asked.rule!r} is given; accepted: {', '.join(RULES)}")
        least = {"classes": 2, "tokens": 1, "train_samples": 1, "valid_samples": 0, "test_samples": 1, "domains": 1}
        for name, lowest in least.items():
            if getattr(asked, name) < lowest:
                raise SettingsError(f"stream.{name}: {getattr(asked, name)} is given; at least {lowest} is needed")
        if min(*asked.patterns, *asked.widths) < 1 or asked.noise < 0:
            raise SettingsError("stream: patterns and widths must be at least 1, and noise at least 0")
        if asked.rule == "pairs" and asked.classes > audio * video:
            raise SettingsError(
                f"stream.classes: {asked.classes} is given; {audio} × {video} patterns make fewer pairs"
            )
        if asked.rule == "sum":
            self._check_balance()

    def _check_balance(self) -> None:
        """Raise where one modality alone would say something about the sum."""
        asked = self.settings
        audio, video = asked.patterns
        if audio % asked.classes or video % asked.classes:
            raise SettingsError(
                f"stream.patterns: {audio} and {video} are given; under rule 'sum' both must be multiples of the "
                f"{asked.classes} classes, or one modality alone would tell something of the label"
            )
        pairs = audio * video // asked.classes
        for name in (f"{split}_samples" for split in SPLITS):
            if getattr(asked, name) % pairs:
                raise SettingsError(
                    f"stream.{name}: {getattr(asked, name)} is given; under rule 'sum' it must be a multiple of "
                    f"{pairs}, the pairs of patterns of one class, so that all of them are equally frequent"
                )


def sum_cells(classes: int, patterns: tuple[int, int]) -> Cells:
    """Return the pairs (i, j) of each value of (i + j) mod `classes`.

    Examples
    --------
    >>> sum_cells(2, (2, 2))
    [[(0, 0), (1, 1)], [(0, 1), (1, 0)]]
    """
    cells: Cells = [[] for _ in range(classes)]
    for i in range(patterns[0]):
        for j in range(patterns[1]):
            cells[(i + j) % classes].append((i, j))
    return cells
