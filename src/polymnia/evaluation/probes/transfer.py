"""`transfer`: whether what is learned of one modality's codes holds for another's."""

from polymnia.data.stage import Stage, Stream
from polymnia.errors import DataError
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.ridge import ridge
from polymnia.evaluation.space import Clips, Space, has_space, split_mean
from polymnia.methods.base import Method


@register("transfer")
class Transfer(Probe):
    """The transfer matrix: a linear probe fitted on the codes of modality a, tested on those of modality b.

    A clip is the mean over steps of its codes, or of its vectors where there is no codebook. The probe of a is fitted
    on the training samples of all stages so far that hold a, and tested on the test samples of those that hold b:
    other clips, which is checked by id; only on classes that it has seen. It is fitted anew after each stage, and so
    hides forgetting: `fixed` shows that.

    `seen`, `unseen`: mean over ordered pairs of modalities that a stage held together, and of those never paired.
    `within`: mean of the diagonal, a probe tested on its own modality. `matrix`: rows are modalities a in the order of
    `modalities`, columns b; None where nothing could be tested.

    Where a stream's training pairs are shuffled, labels belong to the new modality: rows of the mediator mean nothing.

    Source: Xia et al. 2023, section 4 (train on one modality, test on another), on held-out clips; the specification
    of COMET, section 7.
    """

    each = True

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return the matrix and its means."""
        if not has_space(method):
            return {}
        space = Space(method, stream, stage)
        names = space.modalities
        matrix = [[_accuracy(space.all("train", a), space.all("test", b)) for b in names] for a in names]
        held = {(a, b): cell for a, row in zip(names, matrix, strict=True) for b, cell in zip(names, row, strict=True)}
        cells = [(seen, held[way]) for a, b, seen in space.pairs() for way in ((a, b), (b, a))]
        means = split_mean([(seen, cell) for seen, cell in cells if cell is not None])
        diagonal = [cell for m in names if (cell := held[m, m]) is not None]
        within = {"within": sum(diagonal) / len(diagonal)} if diagonal else {}
        return {**means, **within, "modalities": names, "matrix": matrix}


def _accuracy(fitted: Clips, tested: Clips) -> float | None:
    disjoint(fitted, tested)
    probe = ridge(fitted.coded, fitted.targets)
    return None if probe is None else probe.accuracy(tested.coded, tested.targets)


def disjoint(fitted: Clips, tested: Clips) -> None:
    """Raise DataError where a sample is in both."""
    twice = sorted(set(fitted.ids.tolist()) & set(tested.ids.tolist()))
    if twice:
        raise DataError(
            f"a probe must be tested on other samples than it is fitted on, and {len(twice)} are in both, such as "
            f"{twice[0]!r}: training and test samples of one stream may not share ids, over all its stages"
        )
