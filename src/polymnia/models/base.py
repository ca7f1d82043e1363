"""A model: a family that turns a batch into outputs and can grow by a stage."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline, Stream
from polymnia.encoders.base import Encoder
from polymnia.encoders.trunk import Trunk
from polymnia.errors import SettingsError
from polymnia.randomness import drawing_from
from polymnia.registry import NoSettings, Registry
from polymnia.state import Tree


@dataclass(slots=True)
class Output:
    """What a model says of a batch.

    Parameters
    ----------
    logits : Tensor
        (N, K); rows are samples for a classifier, answer or image tokens for a language model.
    targets : Tensor
        (N,) what each row should be, -1 where it does not count.
    representations : dict
        Modality or "joint" → (B, D).
    losses : dict
        The family's own losses, by name, scalars.
    views : dict
        Modality → (own, joint), both (B, D): its representation and its view of the joint one, for losses that compare
        them.
    blocks : list of dict
        Of families with blocks, for each block: modality → tokens (B, T, d) at its output. Of a shared space three:
        sequences in the space, sequences before the adapter, and the tokens that they were made of.
    """

    logits: Tensor
    targets: Tensor
    representations: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)
    views: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    blocks: list[dict[str, Tensor]] = field(default_factory=list)

    def take(self, rows: slice | Tensor) -> "Output":
        """Return some rows; only for families whose logits have one row a sample."""
        return Output(
            self.logits[rows],
            self.targets[rows],
            {m: r[rows] for m, r in self.representations.items()},
            views={m: (own[rows], joint[rows]) for m, (own, joint) in self.views.items()},
            blocks=[{m: tokens[rows] for m, tokens in block.items()} for block in self.blocks],
        )


class Model(nn.Module, ABC):
    """Base of all families.

    A family implements `_grow(outline)`, which adds what a stage needs, and `forward(batch)`. `Settings` is a
    frozen dataclass. The structure depends only on the settings and the outlines grown by, so a saved model is
    rebuilt by growing a new one by the same outlines.
    """

    name: ClassVar[str]
    provides: frozenset[str] = frozenset()
    """What methods may ask for: "logits", "representations", "views", "one row a sample", "space", "text", "bridges",
    "drawing"."""
    runs_layers: ClassVar[bool] = False
    """Whether it runs the upper layers of its encoders itself: see `cut`."""
    shards: ClassVar[bool] = False
    """Whether it has a frozen host whose blocks every process runs alike, whatever its rows: it can be shared out."""

    Settings: type[Any] = NoSettings

    def __init__(self, settings: Any = None, *, seed: int = 0) -> None:
        super().__init__()
        self.settings = self.settled(self.Settings() if settings is None else settings)
        self.seed = seed
        self.grown: list[Outline] = []
        self.attach({})

    @classmethod
    def settled(cls, settings: Any) -> Any:
        """Return settings with those of the parts that they name in full: defaults may change one day."""
        return settings

    @classmethod
    def cut(cls, encoders: Mapping[str, Encoder], settings: Any) -> tuple[dict[str, Encoder], dict[str, Trunk]]:
        """Return the encoders whose tokens the family wants, and by modality the layers that it runs itself: none."""
        return dict(encoders), {}

    @classmethod
    def pools(cls, settings: Any) -> bool:
        """Return whether it wants one vector a value instead of tokens."""
        return False

    @classmethod
    def wants(cls, settings: Any) -> list[Any]:
        """Return what of the settings decides, with the encoders, which tokens it gets: equal lists, equal tokens."""
        return []

    @classmethod
    def ready(cls, stream: Stream, settings: Any) -> Stream:
        """Return an encoded stream with what else the family wants of its samples: as it is."""
        return stream

    @property
    def promises(self) -> frozenset[str]:
        """What no later stage changes, to the last bit, as it is set: "vectors" in the space of modalities that a stage
        lacks (but the mediator's), "pictures" that it draws while it learns to write. Nothing."""
        return frozenset()

    def attach(self, trunks: Mapping[str, Trunk]) -> None:
        """Take the frozen layers that `cut` left to the family, before it grows."""
        self.trunks = dict(trunks)

    def grow(self, stage: Outline) -> None:
        """Add what the stage needs; what was there does not change.

        New weights are drawn from the seed and the stage's index alone.
        """
        device = next((p.device for p in self.parameters()), torch.device("cpu"))
        with drawing_from(self.seed, "initialisation", stage.index):
            self._grow(stage)
        self.grown.append(stage.outline())
        self.to(device)

    @abstractmethod
    def _grow(self, stage: Outline) -> None:
        """Add what the stage needs."""

    @abstractmethod
    def forward(self, batch: Batch) -> Output:
        """Return the output for a batch."""

    def task_loss(self, output: Output, *, progress: float = 1.0) -> Tensor:
        """Return what the family minimises, a scalar: cross-entropy over the rows that count, and its own losses.

        It sees the rows of all processes. `progress` is the share of the stage's steps that are done.
        """
        loss = cross_entropy(output.logits, output.targets, ignore_index=-1)
        return loss + sum(output.losses.values()) if output.losses else loss

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Output:
        """Return the output for a batch in evaluation mode."""
        with self.evaluating():
            output: Output = self(batch)
        return output

    def answer(self, batch: Batch) -> list[str]:
        """Return a text for each sample.

        Raises
        ------
        SettingsError
            The family writes no texts.
        """
        able = [name for name in MODELS if "text" in MODELS.get(name).provides]
        raise SettingsError(f"model {self.name!r} writes no texts; models that do: {', '.join(able)}")

    @contextmanager
    def evaluating(self) -> Generator[None, None, None]:
        """Be in evaluation mode inside the block, and as before after it."""
        was_training = self.training
        if was_training:  # setting the mode walks over all modules: not for a teacher, which is asked at every step
            self.eval()
        try:
            yield
        finally:
            if was_training:
                self.train()

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that training may change, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def frozen_copy(self) -> Self:
        """Return a copy in evaluation mode that nothing trains: a teacher."""
        shared = {id(outline): outline for outline in self.grown}  # they never change, and there is one for each stage
        twin = copy.deepcopy(self, shared).eval()
        return twin.requires_grad_(False)

    def blank(self) -> Self:
        """Return a model like this one that has not grown yet."""
        twin = type(self)(self.settings, seed=self.seed)
        twin.attach(self.trunks)
        return twin

    def rebuilt(self, state: Mapping[str, Tree]) -> Self:
        """Return a new model with the given state (from `state_tree`)."""
        twin = self.blank()
        twin.load_state_tree(state)
        return twin

    def state_tree(self) -> dict[str, Tree]:
        """Return everything needed to rebuild the model: the outlines it grew by and its weights."""
        return {"grown": [outline.line for outline in self.grown], "weights": dict(self.state_dict())}

    def load_state_tree(self, state: Mapping[str, Tree]) -> None:
        """Grow by the outlines that are still missing, then load the weights."""
        for line in state["grown"][len(self.grown) :]:
            self.grow(Outline.from_line(line))
        self.load_state_dict(state["weights"])


def check_modalities(stage: Outline) -> None:
    """Raise SettingsError where a family cannot grow by a modality: by its name, or because its width is not known."""
    for m in stage.modalities:
        if m not in stage.widths:
            raise SettingsError(f"stage {stage.name}: the width of modality {m!r} is not known; encode it first")
        if not m or "." in m or any(hasattr(kind(), m) for kind in (nn.ModuleDict, nn.ParameterDict)):
            raise SettingsError(f"{m!r} cannot name a modality (torch keeps that name); rename its column")


MODELS: Registry[type[Model]] = Registry("model", "polymnia.models")
register = MODELS.register
