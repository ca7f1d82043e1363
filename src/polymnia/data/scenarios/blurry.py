"""`blurry`: online, with classes that come back: stages have main classes, and a few samples of the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Rows, Scenario, register
from polymnia.data.source import Dataset
from polymnia.errors import SettingsError


@register("blurry")
class Blurry(Scenario):
    """Some classes belong to one stage only; of the others, a share of the samples comes in other stages.

    Every sample still comes exactly once. Validation and test samples stay in their class's main stage, so that
    each stage's score is about its main classes.

    Source: i-Blurry, Koh et al. 2022, "Online Continual Learning on Class Incremental Blurry Task Configuration
    with Anytime Inference" (there N = 100 · `disjoint`, M = 100 · `blur`); with `stochastic`, the number of main
    classes is drawn for each stage, and blurry samples go anywhere, as in Si-Blurry, Moon et al. 2023, "Online
    Class Incremental Learning on Stochastic Blurry Task Boundary via Mask and Visual Prompt Tuning".
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many stages, and how blurred."""

        stages: int = 5
        disjoint: float = 0.5
        """Share of the classes that come in one stage only."""
        blur: float = 0.1
        """Share of the training samples of every other class that come outside its main stage."""
        stochastic: bool = False
        """Draw the number of main classes of each stage (at least one each)."""
        order: tuple[str, ...] = ()
        """Every class by name; empty: drawn."""

    settings: Settings

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part a stage."""
        wanted, targets = self.settings, dataset.samples.targets.numpy()
        for name, share in (("disjoint", wanted.disjoint), ("blur", wanted.blur)):
            if not 0 <= share <= 1:
                raise SettingsError(f"stream.{name}: {share} is given; accepted: a share from 0 to 1")
        if wanted.stages < 2:
            raise SettingsError(f"stream.stages: {wanted.stages} is given; blurry needs at least 2 stages")
        order = self.class_order(dataset, split, wanted.order)
        groups = self._drawn_groups(order) if wanted.stages <= len(order) else self.share_out(order, wanted.stages)
        stage = np.full(len(targets), -1)
        for index, group in enumerate(groups):
            stage[np.isin(targets, group)] = index
        chosen = self.random("disjoint").permutation(order)[round(wanted.disjoint * len(order)) :]
        for c in sorted(chosen.tolist()):
            self._blur(stage, np.flatnonzero((targets == c) & (split == "train")), dataset.class_names[c])
        return [
            Part(
                name="-".join(dataset.class_names[c] for c in group),
                rows=np.flatnonzero(stage == index),
                modalities=tuple(dataset.samples.values),
            )
            for index, group in enumerate(groups)
        ]

    def _drawn_groups(self, order: Rows) -> list[Rows]:
        stages = self.settings.stages
        if not self.settings.stochastic:
            return self.share_out(order, stages)
        borders = np.sort(self.random("borders").choice(len(order) - 1, stages - 1, replace=False)) + 1
        return np.split(order, borders)

    def _blur(self, stage: Rows, rows: Rows, name: str) -> None:
        """Move a share of one class's training rows out of its main stage; at least one stays."""
        random, stages, home = self.random("blur", name), self.settings.stages, int(stage[rows[0]])
        moved = random.permutation(rows)[: min(round(self.settings.blur * len(rows)), len(rows) - 1)]
        others = np.delete(np.arange(stages), home)
        if self.settings.stochastic:
            stage[moved] = random.choice(others, len(moved))
        else:  # evenly: no other stage gets two more than another
            stage[moved] = np.resize(random.permutation(others), len(moved))
