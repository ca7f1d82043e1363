"""Which cells of a matrix a method's parts are meant for: by what a stage shares with an earlier one."""

from collections.abc import Callable, Sequence
from math import nan
from statistics import fmean

from polymnia.data.stage import Outline

Row = Sequence[float | None]
CELLS: dict[str, Callable[[Outline, Outline], bool]] = {
    "same modality": lambda now, then: now.modalities == then.modalities and now.task != then.task,
    "absent modality": lambda now, then: not set(now.modalities) & set(then.modalities),
}
"""What a stage and an earlier one have in common: the modality, learned for another task; or nothing to see or hear."""


def by_cells(matrix: Sequence[Row], stages: Sequence[Outline]) -> dict[str, float]:
    """Return how scores change in the very stage that could harm, or help, them.

    For each kind of cell K, means over all pairs (stage t, earlier stage i) of the kind: `change on K`, of
    a_{t,i} − a_{t−1,i}, and `score on K`, of a_{t,i}. Pseudo targets are meant for "same modality", distillation on
    instructions for "absent modality". NaN where there is no such pair.

    Parameters
    ----------
    matrix : sequence of rows
        a_{t,i}: after stage t, on the test set of stage i.
    stages : sequence of Outline
        As many as rows.

    Examples
    --------
    >>> a = Outline(index=0, name="a", task="captioning", modalities=("image",))
    >>> b = Outline(index=1, name="b", task="answering", modalities=("image",))
    >>> by_cells([[0.75], [0.5, 1.0]], [a, b])["change on same modality"]
    -0.25
    """
    found: dict[str, float] = {}
    for kind, belongs in CELLS.items():
        pairs = [
            (matrix[t][i], matrix[t - 1][i])
            for t in range(len(matrix))
            for i in range(t)
            if belongs(stages[t], stages[i])
        ]
        held = [(now, before) for now, before in pairs if now is not None and before is not None]
        found[f"change on {kind}"] = fmean(now - before for now, before in held) if held else nan
        found[f"score on {kind}"] = fmean(now for now, _ in held) if held else nan
    return found
