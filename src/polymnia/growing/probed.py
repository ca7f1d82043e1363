"""What probes say of a model before and after a stage, of the figures that a gate holds it to."""

from collections.abc import Mapping
from dataclasses import dataclass

from polymnia.evaluation.probes.base import PROBES, Figures
from polymnia.evaluation.probing import BY_STAGE


@dataclass(frozen=True, kw_only=True)
class Probed:
    """One figure of a probe before and after a stage.

    Parameters
    ----------
    probe, figure : str
        Which.
    before, after : float or None
        Its values; before is None where there was none.
    promised : bool
        Whether the model as it is set promises that it is 1.
    """

    probe: str
    figure: str
    before: float | None
    after: float
    promised: bool = False

    @property
    def change(self) -> float:
        """After less before; 0 where there was nothing before."""
        return 0.0 if self.before is None else self.after - self.before


def probed(probes: Mapping[str, Figures], promises: frozenset[str]) -> tuple[Probed, ...]:
    """Return the figures that a stage is held to.

    Parameters
    ----------
    probes : Mapping
        Probe → figures as a run's scores have them, with their lists by stage.
    promises : frozenset of str
        What the model promises.

    Examples
    --------
    >>> [found] = probed({"skill": {"text skill": 0.5, "text skill by stage": [0.7, 0.5], "before": 0.9}}, frozenset())
    >>> found.figure, found.before, found.after
    ('text skill', 0.7, 0.5)
    """
    found = []
    for name, figures in probes.items():
        kind = PROBES.get(name)
        for figure, first in kind.held.items():
            values = figures.get(figure + BY_STAGE, [])
            if values and values[-1] is not None:
                before = values[-2] if len(values) > 1 else figures.get(first)
                found.append(Probed(probe=name, figure=figure, before=before, after=values[-1]))
        for figure, promise in kind.promised.items():
            if promise in promises and figures.get(figure) is not None:
                found.append(Probed(probe=name, figure=figure, before=None, after=figures[figure], promised=True))
    return tuple(found)
