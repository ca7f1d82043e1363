"""What the methods over frozen features share: one vector a sample, and statistics that grow."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.layers.projectors import masked_mean
from polymnia.methods.base import Method, Off, Terms
from polymnia.models.base import Model, Output
from polymnia.randomness import Randomness


class FeatureMethod(Method, ABC):
    """Base of methods that train nothing: they look at each sample once, gather statistics, and predict from those.

    A sample's features are its encoders' tokens, averaged and scaled to length 1 for each modality, so that no
    modality counts more because its encoder's numbers are larger. Side by side, each modality has its slot, given
    out in the order of arrival (sorted within a stage) and filled with zeros where the modality is missing; so
    what was gathered before a modality arrived stays right. The model itself is not asked.

    Statistics are sums in float64: they do not depend on the order of samples or on the cut into batches, up to
    rounding, and equal those of one pass over everything.
    """

    needs = frozenset({"one row a sample"})
    passes = 1
    off: ClassVar[Off] = "it trains nothing, so fine-tuning is no special case of it"
    state = ("slots", "counts", "seen", "sums")

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.slots: dict[str, list[int]] = {}  # modality → its first column and the one after its last
        self.counts = torch.zeros(0, dtype=torch.float64)  # (K,) samples of each class
        self.seen: dict[str, Tensor] = {}  # modality → (K,) samples of each class that have it
        self.sums = torch.zeros(0, 0, dtype=torch.float64)  # (K, D) sums of their features

    @property
    def width(self) -> int:
        """D: the columns of all slots so far."""
        return max((end for _, end in self.slots.values()), default=0)

    def in_order(self) -> list[str]:
        """Return the modalities by slot: a mapping that was saved comes back sorted by name."""
        return sorted(self.slots, key=lambda m: self.slots[m])

    def before_stage(self, stage: Stage) -> None:
        """Make room for what is new in this stage."""
        for modality in sorted(stage.modalities):
            if modality not in self.slots:
                self.slots[modality] = [self.width, self.width + self.room(modality, stage.widths[modality])]
        self.grow(max([len(self.counts), *(c + 1 for c in stage.classes)]))

    def room(self, modality: str, width: int) -> int:
        """Return the width of a new modality's slot, given the width of its tokens."""
        return width

    def grow(self, classes: int) -> None:
        """Give the statistics room for this many classes and for all slots."""
        self.counts = padded(self.counts, classes).to(self.device)
        none = self.counts.new_zeros(0)
        self.seen = {m: padded(self.seen.get(m, none), classes) for m in self.slots}
        self.sums = padded(self.sums, classes, self.width).to(self.device)

    def loss(self, batch: Batch) -> Terms:
        """Look at the labelled samples; there is nothing to step."""
        known = batch.take(batch.targets >= 0)
        self.observe(known, self.features(known))
        return {}

    def observe(self, batch: Batch, features: Tensor) -> None:
        """Add labelled samples and their features (B, D) to the statistics."""
        self.counts.index_add_(0, batch.targets, self.counts.new_ones(len(batch)))
        for modality, seen in self.seen.items():
            seen.index_add_(0, batch.targets, batch.has(modality).to(seen))
        self.sums.index_add_(0, batch.targets, features.to(self.sums))

    def means(self) -> Tensor:
        """Return the class means (K, D), each slot's over the samples that have the modality; zeros for none."""
        means = self.sums.clone()
        for modality, (start, end) in self.slots.items():
            means[:, start:end] /= self.seen[modality].clamp(min=1)[:, None]
        return means

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Output:
        """Return one score a class; a class of which no sample was seen has the lowest there is."""
        features = self.features(batch)
        known = 1 + max((c for stage in self.model.grown for c in stage.classes), default=-1)
        return Output(
            self.told(padded(self.scores(batch, features), len(batch), known)), batch.targets, {"joint": features}
        )

    def told(self, scores: Tensor) -> Tensor:
        """Return scores (B, K) in which a class that was never seen has the lowest there is."""
        return scores.masked_fill(padded(self.counts, scores.shape[1]) == 0, torch.finfo(scores.dtype).min)

    @abstractmethod
    def scores(self, batch: Batch, features: Tensor) -> Tensor:
        """Return (B, K) in float32 for features (B, D)."""

    def features(self, batch: Batch) -> Tensor:
        """Return (B, D) in float32: every modality in its slot, zeros where it is missing."""
        rows = batch.targets.shape[0]  # not `len`, which would fix the number where this is exported
        features = torch.zeros(rows, self.width, device=batch.targets.device)
        for modality, (start, end) in self.slots.items():
            if modality in batch.values:
                features[:, start:end] = self.vector(batch, modality)
        return features

    def vector(self, batch: Batch, modality: str) -> Tensor:
        """Return what goes into a modality's slot; zeros where it is missing."""
        return unit(batch, modality)


def unit(batch: Batch, modality: str) -> Tensor:
    """Return the mean token of each sample, scaled to length 1, (B, d); zero where the modality is missing."""
    vectors = normalize(masked_mean(batch.values[modality], batch.valid.get(modality)), dim=1)
    present = batch.present.get(modality)
    return vectors if present is None else vectors.masked_fill(~present[:, None], 0.0)


def padded(values: Tensor, *shape: int) -> Tensor:
    """Return the values with zeros after them up to a shape; dimensions that are long enough stay.

    Examples
    --------
    >>> padded(torch.ones(1, 2), 2, 3).tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    wanted = [max(have, want) for have, want in zip(values.shape, shape, strict=True)]
    if wanted == list(values.shape):
        return values
    full = values.new_zeros(wanted)
    full[tuple(slice(0, length) for length in values.shape)] = values
    return full
