"""`shared-space`: one space over frozen encoders, into which modalities come one at a time, each paired with one."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from polymnia.config import Named, part, whole
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.adapters.base import ADAPTERS, Adapter
from polymnia.layers.codebooks.base import CODEBOOKS, Codebook, Quantised
from polymnia.layers.objectives.base import OBJECTIVES, Objective
from polymnia.layers.projectors import PROJECTORS
from polymnia.layers.steps import resampled
from polymnia.models.base import Model, Output, check_modalities, register
from polymnia.models.pairing import Pairing, groups, there
from polymnia.randomness import derive

WEIGHTS = ("contrast", "commit", "match", "reconstruct", "information")


@register("shared-space")
class SharedSpace(Model):
    """Tokens → N steps → projector per modality → z = h + adapter(h), and, with a codebook, the nearest codes of z.

    By itself, pairwise contrast between whatever modalities a sample has. `Output.representations` are the means over
    steps. `Output.blocks` are z, h, and the tokens that they were made of, (B, N, …) each; z is 0 where a modality is
    missing.

    Examples
    --------
    >>> model = SharedSpace(SharedSpace.Settings(width=8))
    >>> widths = {"image": 5, "text": 3}
    >>> model.grow(Outline(index=0, name="first", task="pairing", modalities=("image", "text"), widths=widths))
    >>> output = model.predict(Batch({"image": torch.randn(3, 1, 5), "text": torch.randn(3, 4, 3)}, torch.zeros(3)))
    >>> {m: tuple(vectors.shape) for m, vectors in output.representations.items()}
    {'image': (3, 8), 'text': (3, 8)}
    """

    provides = frozenset({"representations", "space"})

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Width and length of sequences, the parts, and the weights of the losses; with 0 a loss is not there."""

        width: int = 256
        """D; with `path: given` it is that of the mediator's tokens."""
        steps: int = 1
        """N, to which every value's tokens are resampled; 1: one vector a value."""
        mediator: str = "text"
        """The modality that every other one is paired with."""
        path: Literal["grows", "stays", "given"] = "grows"
        """How the mediator gets into the space: its path is trained in every stage (grows), as far as `freeze` and
        the adapter let it, or in the first stage only (stays), or the space is that of its encoder (given)."""
        projector: str = "temporal"
        """From a modality's tokens to h, one a modality."""
        hidden: tuple[int, ...] = ()
        """Hidden widths of projector "mlp"."""
        dropout: float = 0.0
        """In the projectors."""
        adapter: Named | None = None
        """What is added to h; none: z = h."""
        freeze: bool = False
        """Whether the projectors of a stage's modalities stay as the stage left them."""
        codebook: Named | None = None
        restrict: bool = True
        """Whether a modality that the newest stage lacks sees only the codes that there were when it was last there."""
        objective: Named | None = None
        """None: cross-cpc for sequences, info-nce for single vectors."""
        contrast: float = 1.0
        """Of the objective."""
        commit: float = 0.25
        """Of the squared distance to one's own code."""
        cross_commit: bool = False
        """Whether to commit, half as much, to the partner's code too."""
        match: float = 0.5
        """Of telling pairs apart by the codes that they use."""
        reconstruct: float = 0.0
        """Of what is lost when tokens are decoded from codes and from what is a modality's own."""
        information: float = 0.0
        """Of the mutual information of what is shared and what is a modality's own; it needs `reconstruct`."""

        def __post_init__(self) -> None:
            least = {"width": 1, "steps": 1, **dict.fromkeys(WEIGHTS, 0)}
            for name, bound in least.items():
                if getattr(self, name) < bound:
                    raise SettingsError(f"model.{name}: {getattr(self, name)} is given, and at least {bound} is needed")
            by_codes = (self.commit or self.match) and self.codebook is not None
            if not (self.contrast or by_codes or self.reconstruct):
                raise SettingsError(
                    "model: there is nothing to learn with contrast and reconstruct at 0 and no codebook to commit to"
                )
            if self.information and not self.reconstruct:
                raise SettingsError(
                    "model.information: there is nothing of a modality's own without model.reconstruct above 0"
                )

    settings: Settings
    draws: Tensor

    @property
    def promises(self) -> frozenset[str]:
        """Vectors of modalities that a stage lacks stay where projectors are frozen and adapters keep what they had."""
        kept = self.settings.freeze and (self.adapter is None or self.adapter.keeps)
        return frozenset({"vectors"}) if kept else frozenset()

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        given = self.settings
        if given.path == "stays" and given.adapter is not None:
            kind, _ = part(ADAPTERS, given.adapter, "model.adapter")
            if not kind.keeps:
                keep = ", ".join(name for name in ADAPTERS if ADAPTERS.get(name).keeps)
                raise SettingsError(
                    f"model.adapter: {kind.name!r} is trained in every stage, and with model.path=stays nothing of the "
                    f"mediator may be; accepted: {keep}, or none"
                )
        self.width = given.width
        self.projectors = nn.ModuleDict()
        self.adapter: Adapter | None = None
        self.codebook: Codebook | None = None
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    @classmethod
    def settled(cls, settings: Settings) -> Settings:
        """Return settings with those of the adapter, the codebook and the objective in full."""
        objective = settings.objective or ("info-nce" if settings.steps == 1 else "cross-cpc")
        return replace(
            settings,
            adapter=whole(ADAPTERS, settings.adapter, "model.adapter"),
            codebook=whole(CODEBOOKS, settings.codebook, "model.codebook"),
            objective=whole(OBJECTIVES, objective, "model.objective"),
        )

    @classmethod
    def pools(cls, settings: Settings) -> bool:
        """Return whether a value is one vector."""
        return settings.steps == 1

    # growth ---------------------------------------------------------------------------------------------------

    def _grow(self, stage: Outline) -> None:
        check_modalities(stage)
        mediator, path = self.settings.mediator, self.settings.path
        needed = stage.task == "pairing" or (path == "given" and not self.grown)
        if needed and mediator not in stage.modalities:
            raise SettingsError(
                f"stage {stage.name} has {', '.join(stage.modalities)}, and model.mediator is {mediator!r}: every "
                "stage of pairs has the mediator. Set model.mediator and stream.mediator to the same modality"
            )
        if not self.grown:
            self._build(stage)
        self._settle()
        stays = path == "given" or (path == "stays" and mediator in self.projectors)
        for m in sorted(set(stage.modalities) - self.projectors.keys()):
            self.projectors[m] = self._projector(m, stage.widths[m])
        if self.adapter is not None:
            inside = replace(stage.outline(), widths=dict.fromkeys(stage.modalities, self.width))
            self.adapter.grow(inside, sorted(set(stage.modalities) - ({mediator} if stays else set())))
        if self.codebook is not None:
            self.codebook.begin(stage.index)
        self.pairing.grow({m: stage.widths[m] for m in stage.modalities})

    def _build(self, stage: Outline) -> None:
        s = self.settings
        if s.path == "given":
            self.width = stage.widths[s.mediator]
        if s.adapter is not None:
            kind, settings = part(ADAPTERS, s.adapter, "model.adapter")
            self.adapter = kind(settings)
        if s.codebook is not None:
            kind, settings = part(CODEBOOKS, s.codebook, "model.codebook")
            self.codebook = kind(self.width, settings)
        objective: Objective | None = None
        if s.contrast and s.objective is not None:
            kind, settings = part(OBJECTIVES, s.objective, "model.objective")
            objective = kind(self.width, s.steps, settings)
        self.pairing = Pairing(self.width, objective=objective, codebook=self.codebook, weights=s)

    def _projector(self, modality: str, width: int) -> nn.Module:
        s = self.settings
        if modality == s.mediator and s.path == "given":
            return nn.Identity()
        return PROJECTORS.get(s.projector)(width, self.width, hidden=s.hidden, dropout=s.dropout)

    def _settle(self) -> None:
        """Let what earlier stages made stay as it is, as far as the settings say so."""
        for m, projector in self.projectors.items():
            if self.settings.freeze or (m == self.settings.mediator and self.settings.path == "stays"):
                projector.requires_grad_(False)

    def stages(self, modality: str) -> list[int]:
        """Return the indices of the stages that had a modality, at least one.

        Raises
        ------
        SettingsError
            The model has not grown by it.
        """
        found = [outline.index for outline in self.grown if modality in outline.modalities]
        if not found:
            raise SettingsError(f"the model does not know {modality!r}; it knows {sorted(self.projectors)}")
        return found

    # into the space -------------------------------------------------------------------------------------------

    def forward(self, batch: Batch) -> Output:
        """Return representations (B, D) and sequences (B, N, D) of the modalities that the model knows."""
        tokens = self.tokens(batch)
        inside = self.inside(tokens)
        z = self._added(inside)
        none = z[next(iter(z))].new_zeros(len(batch), 0)
        blocks = [z, inside.values, tokens.values]
        return Output(none, batch.targets, {m: v.mean(1) for m, v in z.items()}, blocks=blocks)

    def tokens(self, batch: Batch) -> Batch:
        """Return the batch of the modalities that it knows, with N tokens a value; 0 where a value is missing."""
        known = [m for m in batch.modalities if m in self.projectors]
        if not known:
            raise SettingsError(f"the batch has {batch.modalities}; the model knows {sorted(self.projectors)}")
        present = {m: batch.present.get(m) for m in known}
        values = {m: resampled(batch.values[m], batch.valid.get(m), self.settings.steps) for m in known}
        return Batch({m: _blanked(v, present[m]) for m, v in values.items()}, batch.targets, {}, present)

    def inside(self, tokens: Batch) -> Batch:
        """Return the batch with h (B, N, D) for N tokens a value."""
        return replace(tokens, values={m: self.projectors[m](x) for m, x in tokens.values.items()})

    def sequences(self, tokens: Batch, *, stage: int | None = None) -> dict[str, Tensor]:
        """Return modality → z (B, N, D) from N tokens a value; 0 where a value is missing.

        With `stage`, as it was at the end of that stage: projectors that stay, and the adapter's way of that time.
        """
        return self._added(self.inside(tokens), stage)

    def _added(self, inside: Batch, stage: int | None = None) -> dict[str, Tensor]:
        added = self._beside(inside, stage)
        z = {m: h + added[m] if m in added else h for m, h in inside.values.items()}
        return {m: _blanked(v, inside.present.get(m)) for m, v in z.items()}

    def _beside(self, inside: Batch, stage: int | None) -> dict[str, Tensor]:
        """Return what the adapter adds; nothing to a mediator that is given."""
        if self.settings.path == "given":
            inside = inside.only(inside.values.keys() - {self.settings.mediator})
        if self.adapter is None or not inside.values:
            return {}
        added: dict[str, Tensor] = self.adapter(inside) if stage is None else self.adapter.of_stage(inside, stage)
        return added

    def encode(self, modality: str, values: Tensor, valid: Tensor | None = None, *, stage: int | None = None) -> Tensor:
        """Return the sequences (B, N, D) of one modality's tokens (B, T, d), with `stage` as they were at its end."""
        batch = Batch({modality: values}, torch.full((len(values),), -1), {modality: valid})
        return self.sequences(self.tokens(batch), stage=stage)[modality]

    def quantise(self, modality: str, sequences: Tensor) -> Quantised:
        """Return sequences (B, N, D) of a modality as codes.

        Raises
        ------
        SettingsError
            The model has no codebook.
        """
        if self.codebook is None:
            raise SettingsError("the model has no codebook; set model.codebook, for example to multimodal-ema")
        return self.codebook.quantise(sequences, first=self.horizon(modality))

    def quantised(self, batch: Batch) -> dict[str, Quantised]:
        """Return modality → its sequences as codes; nothing without a codebook."""
        if self.codebook is None:
            return {}
        return {m: self.quantise(m, z) for m, z in self.sequences(self.tokens(batch)).items()}

    def horizon(self, modality: str) -> int | None:
        """Return how many of the codes, oldest first, a modality sees; None: all.

        What is restricted cannot be captured by codes that come later. The mediator sees all: it says what is new.
        """
        last = self.stages(modality)[-1]
        if not self.settings.restrict or modality == self.settings.mediator or last == self.grown[-1].index:
            return None
        return None if self.codebook is None else self.codebook.sizes[last]

    @staticmethod
    def similarity(one: Tensor, other: Tensor) -> Tensor:
        """Return the cosines (N, M) of vectors (N, D) and (M, D)."""
        return normalize(one.float(), dim=1) @ normalize(other.float(), dim=1).T

    # learning -------------------------------------------------------------------------------------------------

    def losses(self, output: Output) -> dict[str, Tensor]:
        """Return the losses between paired modalities, by name."""
        z, h, tokens = output.blocks
        terms = self.pairing(z, tokens)
        if self.adapter is not None:
            rows: dict[str, Tensor | None] = {m: there(sequences) for m, sequences in z.items()}
            terms["balance"] = self.adapter.balance(Batch(h, output.targets, {}, rows))
        return terms

    def task_loss(self, output: Output, *, progress: float = 1.0) -> Tensor:
        """Return the sum of the losses between paired modalities; in training, the codes move too."""
        z = output.blocks[0]
        terms = list(self.losses(output).values()) or [0.0 * sequences.sum() for sequences in z.values()]
        if self.training:
            self.learn_codes(groups(z), progress=progress)
        return torch.stack(terms).sum()

    @torch.no_grad()
    def learn_codes(self, group: list[Tensor], *, progress: float) -> None:
        """Move the codes by sequences (B, N, D) that belong together, as batch normalisation moves its statistics."""
        self.draws = self.draws + 1
        if self.codebook is not None and group:
            self.codebook.update(group, progress=progress, seed=derive(self.seed, "codes", int(self.draws)))


def _blanked(values: Tensor, present: Tensor | None) -> Tensor:
    """Return values (B, N, D) with 0 in the rows that are not there."""
    return values if present is None else torch.where(present[:, None, None], values, 0.0)
