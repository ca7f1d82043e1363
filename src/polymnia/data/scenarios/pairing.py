"""`pairing`: a new modality at each stage, known only through its pairs with a mediator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.samples import Samples
from polymnia.data.scenario import Part, Rows, Scenario, register
from polymnia.data.source import Dataset
from polymnia.data.splits import group_names
from polymnia.errors import DataError, SettingsError, unknown
from polymnia.randomness import derive


@register("pairing")
class Pairing(Scenario):
    """Stage s brings pairs (new modality, mediator) and nothing else: two other modalities never meet in training.

    A stage holds the samples that have both, on all three sides; labels are kept for probes, and a sample without
    one is a pair too. Where a sample has several modalities it comes back in several stages, each time on the same
    side of the split; with `disjoint` it trains in one stage only.

    Source: COMET (reconstructed from its abstract and the public ancestor, CMG), stages of pairs with a mediator.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which modalities join, in which order, through which mediator, and which controls."""

        order: tuple[str, ...] = ()
        """The new modality of each stage; one that is not named does not come. Empty: all, in a drawn order."""
        mediator: str = "text"
        disjoint: bool = False
        """Give each group to the training of one of its stages, drawn; validation and test samples stay in all."""
        shuffled: bool = False
        """Control: pair every new value of the training samples with the mediator's value of another sample, of
        another group where no group holds more than half. Labels stay with the new modality, so that a probe must
        not be fitted on the mediator's half. Validation and test pairs stay right."""
        together: bool = False
        """Keep the modalities of all stages so far, where a sample has them: for objectives over more than two."""
        at_once: bool = False
        """One stage, with every modality that a sample has beside the mediator: what comes to a model in use."""

    settings: Settings

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part a new modality, in the order."""
        wanted, samples = self.settings, dataset.samples
        if wanted.together and wanted.disjoint:
            raise SettingsError("stream: together puts several modalities into a training sample, disjoint forbids it")
        if wanted.at_once and (wanted.disjoint or wanted.shuffled or wanted.together):
            raise SettingsError("stream: at_once is one stage, and together, disjoint and shuffled are for several")
        order = self._order(list(samples.values))
        if wanted.at_once:
            return [self._everything(samples, order)]
        has = {m: samples.present[m].numpy() for m in (wanted.mediator, *order)}
        rows = {m: np.flatnonzero(has[m] & has[wanted.mediator]) for m in order}
        names, train = group_names(samples), split == "train"
        if wanted.disjoint:
            rows = self._disjoint(rows, names, train)
        parts: list[Part] = []
        for stage, new in enumerate(order):
            seen = (*order[: stage + 1], wanted.mediator) if wanted.together else (new, wanted.mediator)
            training = rows[new][train[rows[new]]]
            others = [m for m in seen if m != new] if wanted.shuffled else []
            borrowed = {m: self._elsewhere(m, new, training[has[m][training]], names) for m in others}
            parts.append(Part(name="+".join(seen), rows=rows[new], modalities=seen, task="pairing", borrowed=borrowed))
        return parts

    def _everything(self, samples: Samples, order: Sequence[str]) -> Part:
        """Return all pairs as one part."""
        seen = (*order, self.settings.mediator)
        has = [samples.present[m].numpy() for m in seen]
        rows = np.flatnonzero(np.logical_or.reduce(has[:-1]) & has[-1])
        return Part(name="+".join(seen), rows=rows, modalities=seen, task="pairing")

    def _order(self, there: Sequence[str]) -> list[str]:
        """Return the new modalities in order."""
        wanted = self.settings
        if wanted.mediator not in there:
            raise SettingsError(f"stream.mediator: {unknown('modality', wanted.mediator, there)}")
        others = sorted(m for m in there if m != wanted.mediator)
        if not others:
            raise SettingsError(
                f"stream: pairing needs a modality beside the mediator {wanted.mediator!r}; there is none"
            )
        strange = [m for m in wanted.order if m not in others]
        if strange:
            raise SettingsError(f"stream.order: {unknown('modality beside the mediator', strange[0], others)}")
        if len(set(wanted.order)) < len(wanted.order):
            raise SettingsError(f"stream.order names a modality twice: {', '.join(wanted.order)}")
        return list(wanted.order) or self.ordered((), others, what="modality")

    def _disjoint(self, rows: Mapping[str, Rows], names: NDArray[np.str_], train: NDArray[np.bool_]) -> dict[str, Rows]:
        """Return the rows, each training group left in one of its stages; whatever their order."""
        stages: dict[str, list[str]] = {}
        for new, at in sorted(rows.items()):
            for name in np.unique(names[at[train[at]]]).tolist():
                stages.setdefault(name, []).append(new)
        home = {name: own[derive(self.seed, "disjoint", name) % len(own)] for name, own in stages.items()}
        return {
            new: at[[not train[row] or home[str(names[row])] == new for row in at.tolist()]] for new, at in rows.items()
        }

    def _elsewhere(self, modality: str, new: str, rows: Rows, names: NDArray[np.str_]) -> Rows:
        """Return (N,) rows to take a modality's values from: another's for the given rows, its own for the rest."""
        if len(rows) == 1:
            raise DataError(f"stage {new}: one training sample has {modality}, and shuffling needs two")
        source = np.arange(len(names))
        source[rows] = rows[wrong_partners(names[rows], self.random("shuffled", new, modality))]
        return source


def wrong_partners(groups: NDArray[np.str_], random: np.random.Generator) -> Rows:
    """Return a drawn permutation that leaves nobody in its own group, or, where one holds over half, at its own place.

    Examples
    --------
    >>> groups = np.array(["a", "a", "b", "c"])
    >>> partners = wrong_partners(groups, np.random.default_rng(0))
    >>> sorted(partners.tolist()), bool((groups[partners] == groups).any())
    ([0, 1, 2, 3], False)
    """
    own = np.unique(groups, return_inverse=True)[1]
    if len(own) and 2 * np.bincount(own).max() > len(own):
        own = np.arange(len(own))
    partner = random.permutation(len(own))
    for at in np.flatnonzero(own[partner] == own).tolist():
        if own[partner[at]] == own[at]:  # an earlier exchange may have put it right
            free = np.flatnonzero((own[partner] != own[at]) & (own != own[at]))
            other = int(random.choice(free))
            partner[at], partner[other] = partner[other], partner[at]
    return partner
