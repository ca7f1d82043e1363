"""`fixed`: a probe fitted once, which shows what the space forgets."""

from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from polymnia.data.stage import Stage, Stream
from polymnia.errors import StateError
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.probes.transfer import disjoint
from polymnia.evaluation.ridge import Ridge, ridge
from polymnia.evaluation.space import clips, has_space, mediator
from polymnia.methods.base import Method


@register("fixed")
class Fixed(Probe):
    """A linear probe fitted after the first stage on the codes of its new modality, and never again.

    `fixed`: its accuracy on the first stage's test samples, with that modality. `fixed mediator`: with the mediator of
    the same samples, which the probe was not fitted on. Both are exactly constant where nothing old moves: this is
    whether what was built on the space still works. With several new modalities in the first stage, the first by name.

    Source: the specification of COMET, sections 7 and 8 (probes fitted anew after each stage hide forgetting).
    """

    each = True
    state = ("modality", "probe")
    held = MappingProxyType({"fixed": ""})

    def __init__(self) -> None:
        self.modality: str | None = None
        self.probe: dict[str, Any] | None = None

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return the probe's accuracy; after the first stage it is fitted.

        Raises
        ------
        StateError
            It was not asked after the first stage.
        """
        if not has_space(method):
            return {}
        first = stream[0]
        if stage.index == 0:
            self._fit(method, first)
        elif self.modality is None:
            raise StateError(f"the probe 'fixed' is fitted after the first stage; its state is missing at {stage.name}")
        if self.modality is None or self.probe is None:
            return {}
        probe = Ridge(**self.probe)
        figures = {}
        for name, m in (("fixed", self.modality), ("fixed mediator", mediator(method))):
            if m in first.test.modalities:
                tested = clips(method, first.test, m)
                figures[name] = probe.accuracy(tested.coded, tested.targets)
        return {name: value for name, value in figures.items() if value is not None}

    def _fit(self, method: Method, first: Stage) -> None:
        new = [m for m in first.train.modalities if m != mediator(method)]
        self.modality = (new or first.train.modalities)[0]
        fitted = clips(method, first.train, self.modality)
        disjoint(fitted, clips(method, first.test, self.modality))
        probe = ridge(fitted.coded, fitted.targets)
        self.probe = None if probe is None else asdict(probe)
