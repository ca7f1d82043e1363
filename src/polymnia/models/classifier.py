"""`classifier`: encoders' vectors → projector per modality → fusion → growing head."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.fusion import FUSIONS
from polymnia.layers.heads import HEADS
from polymnia.layers.projectors import PROJECTORS, masked_mean
from polymnia.models.base import Model, Output, check_modalities, register


@register("classifier")
class Classifier(Model):
    """A class for each sample, from whichever of its modalities are there.

    Examples
    --------
    >>> import torch
    >>> from polymnia.data.batch import Batch
    >>> from polymnia.data.stage import Outline
    >>> model = Classifier()
    >>> model.grow(Outline(index=0, name="first", modalities=("image",), classes=(0, 1), widths={"image": 8}))
    >>> model.predict(Batch({"image": torch.zeros(3, 1, 8)}, torch.tensor([0, 1, 1]))).logits.shape
    torch.Size([3, 2])
    """

    provides = frozenset({"logits", "representations", "one row a sample"})

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Width of the joint representation, and which parts."""

        width: int = 128
        projector: str = "normalised"
        hidden: tuple[int, ...] = ()
        """Hidden widths of projector "mlp"."""
        dropout: float = 0.0
        fusion: str = "mean"
        head: str = "linear"

    settings: Any  # a subclass names its own

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.projectors = nn.ModuleDict()
        self.fusion = FUSIONS.get(self.settings.fusion)()
        self.head = HEADS.get(self.settings.head)()

    @classmethod
    def pools(cls, settings: Any) -> bool:
        """Return that one vector a value is enough."""
        return True

    def _grow(self, stage: Outline) -> None:
        make, s = PROJECTORS.get(self.settings.projector), self.settings
        check_modalities(stage)
        for modality in stage.modalities:
            if modality not in self.projectors:
                self.projectors[modality] = make(stage.widths[modality], s.width, hidden=s.hidden, dropout=s.dropout)
        self.fusion.grow(stage.modalities, s.width)
        self.head.grow(max((*stage.classes, self.head.classes - 1)) + 1, s.width)

    def forward(self, batch: Batch) -> Output:
        """Return logits (B, K) over all classes so far, and representations (B, D) per modality and joint."""
        projectors = self.projectors
        parts: dict[str, Tensor] = {
            m: projectors[m](masked_mean(batch.values[m], batch.valid.get(m)))
            for m in batch.modalities
            if m in projectors
        }
        if not parts:
            raise SettingsError(f"the batch has {batch.modalities}; the model knows {sorted(projectors)}")
        names = list(parts)
        if len(names) == 1 and self.settings.fusion == "mean" and batch.present.get(names[0]) is None:
            joint = parts[names[0]]
        else:
            present = torch.stack([batch.has(m) for m in names], 1)
            joint = self.fusion(torch.stack(list(parts.values()), 1), present, names)
        return Output(self.head(joint), batch.targets, {**parts, "joint": joint})
