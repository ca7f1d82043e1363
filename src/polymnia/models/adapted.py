"""`adapted`: a classifier over frozen encoders with adapters, or prompts, inside."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from polymnia.config import Named, whole
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.encoders.base import Encoder
from polymnia.encoders.trunk import Trunk
from polymnia.errors import SettingsError
from polymnia.layers.adapters.base import ADAPTERS, Adapter
from polymnia.layers.prompts.base import PROMPTS
from polymnia.models.base import Output, register
from polymnia.models.classifier import Classifier
from polymnia.models.multimodal_encoder import Layout, MultimodalEncoder, cuts


@register("adapted")
class Adapted(Classifier):
    """The layers of frozen encoders run inside the model, block by block, and what is trained stands beside them.

    Behind them it is the classifier: the mean of each modality's last tokens, a projector, fusion and a growing head.
    What lies below the first adapter or beside it is computed once and cached; the layers above run at every step.
    Works with every method; some bring the adapter or the prompts of their published system (see `polymnia methods`).

    Source: Chee et al. 2025 (cross-modality adapters); there the joint representation is linear in the concatenation
    of modalities, and so it is here: projector by projector, then the mean over those that are there.
    """

    runs_layers = True

    @dataclass(frozen=True, kw_only=True)
    class Settings(Classifier.Settings):
        """The classifier's settings, and what stands inside the encoders."""

        adapter: Named | None = "bottleneck"
        """Beside each block; none: nothing."""
        prompts: Named | None = None
        """Before the tokens of each block."""
        last: int | None = None
        """Adapters in the last so many blocks only; none: in all."""
        views: bool = False
        """Whether each modality has a view of the joint representation, for methods that align with it."""

        def __post_init__(self) -> None:
            if self.last is not None and self.last < 1:
                raise SettingsError(f"model.last: {self.last} is given, and at least 1 block is needed (or null)")

    settings: Settings

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        if self.settings.views:
            self.provides = self.provides | {"views"}
        self.own_views, self.joint_views = nn.ModuleDict(), nn.ModuleDict()

    @classmethod
    def settled(cls, settings: Settings) -> Settings:
        """Return settings with those of the adapter and the prompts in full."""
        return replace(
            settings,
            adapter=whole(ADAPTERS, settings.adapter, "model.adapter"),
            prompts=whole(PROMPTS, settings.prompts, "model.prompts"),
        )

    @classmethod
    def pools(cls, settings: Any) -> bool:
        """Return that its layers want tokens."""
        return False

    @classmethod
    def cut(cls, encoders: Mapping[str, Encoder], settings: Settings) -> tuple[dict[str, Encoder], dict[str, Trunk]]:
        """Return the encoders of what lies below the first adapter, and the layers above."""
        at = cuts({m: encoder.depth for m, encoder in encoders.items()}, settings.last)
        above = Layout({m: encoder.depth - at[m] for m, encoder in encoders.items()})
        ahead = {m: len(above.layers(m, 0) or ()) for m in encoders}  # they see what nothing has changed yet
        cut = {m: encoder.cut(at[m], ahead=ahead[m]) for m, encoder in sorted(encoders.items())}
        return {m: lower for m, (lower, _) in cut.items()}, {m: trunk for m, (_, trunk) in cut.items()}

    @classmethod
    def wants(cls, settings: Settings) -> list[Any]:
        """Return where the encoders are cut."""
        return [settings.last]

    def attach(self, trunks: Mapping[str, Trunk]) -> None:
        """Build the blocks around these layers; modalities without layers are known when they arrive."""
        super().attach(trunks)
        s = self.settings
        layout = Layout({m: trunk.depth for m, trunk in self.trunks.items()})
        self.encoder = MultimodalEncoder(layout, self.trunks, adapter=s.adapter, prompts=s.prompts)

    @property
    def adapters(self) -> list[Adapter]:
        """The blocks' adapters."""
        return self.encoder.adapters

    def entering(self, batch: Batch) -> list[Batch]:
        """Return the input of each block's adapter, without gradients."""
        return self.encoder.entering(batch)

    def _grow(self, stage: Outline) -> None:
        strange = [m for m in stage.modalities if m not in self.trunks]
        if strange:
            raise SettingsError(
                f"stage {stage.name}: model 'adapted' runs the upper layers of its encoders itself, and was given none "
                f"for {', '.join(strange)}; start it from settings that name an encoder for each modality"
            )
        super()._grow(self.encoder.inside(stage))
        self.encoder.grow(stage)
        if self.settings.views:
            width = self.settings.width
            for m in stage.modalities:
                if m not in self.own_views:
                    self.own_views[m], self.joint_views[m] = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, batch: Batch) -> Output:
        """Return logits (B, K), representations (B, D), and the blocks' tokens; views if it has them."""
        encoded, blocks, losses = self.encoder(batch)
        output = super().forward(encoded)
        output.blocks = blocks
        output.losses.update(losses)
        if self.settings.views:
            joint = output.representations["joint"]
            output.views = {
                m: (self.own_views[m](own), self.joint_views[m](joint))
                for m, own in output.representations.items()
                if m in self.own_views
            }
        return output
