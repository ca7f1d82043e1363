"""`comet`: a shared space that grows by modalities, with replay of modalities that are no longer there."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from polymnia.config import Named, part
from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.layers.translators.base import TRANSLATORS, Translator
from polymnia.methods.base import Method, Off, Terms, register
from polymnia.models.base import Model
from polymnia.models.pairing import groups, there
from polymnia.randomness import Randomness, derive
from polymnia.state import Tree

RECENT = 8192
"""Vectors of the mediator that are kept to decide on growth."""


@register("comet")
class Comet(Method):
    """Continual cross-modal generalisation: experts that stay, codes that stay and grow, pseudo-modality replay.

    ``L = L_pair + replay · L_pmr + distill · L_kd``. L_pair is the family's own. For L_pmr, each old modality j is
    drawn from the mediator's half of the current pairs: its translator was fitted at the end of stage j on the
    mediator's sequences of that time, which the mediator's old router still gives. What is drawn is compared with the
    new modality as a partner would be, and takes part in the codes' averages. L_kd keeps the mediator's sequences
    where the last stage had them; it is off by default.

    Once in a stage, after `grow_at` of its steps, codes are added for the mediator's vectors that are far from all
    codes. Old codes, experts, routers and projectors stay as they are (see the model's parts).

    A reconstruction from the abstract and the published ancestor: the full text of the paper could not be had. All
    forms here are inferred; the system's page names each choice.

    Source: Xia et al. 2025 (arXiv 2504.00561), abstract; Xia et al. 2023 (Uni-Code), eqs. 3-8, for L_pair.
    """

    needs = frozenset({"space"})
    state = ("fitted", "recent", "grew")
    parts = MappingProxyType({"adapter": "stage-experts", "codebook": "multimodal-ema", "freeze": True,
                              "reconstruct": 1.0, "information": 0.1})  # fmt: skip
    off: ClassVar[Off] = MappingProxyType({"replay": 0.0, "distill": 0.0, "grow_at": 1.0})

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """The weights of replay and distillation, from what is replayed, and when codes are added."""

        replay: float = 1.0
        """Of L_pmr; 0: no translator is fitted, and nothing is replayed to the codes either."""
        distill: float = 0.0
        """Of the mean squared distance to the mediator's sequences of the stage before."""
        sampled: bool = True
        """Whether what is replayed is drawn from the translator's distribution, or is its mean."""
        translator: Named = "gaussian"
        replay_commit: float = 0.25
        """Of the squared distance of both halves of a pair to the code of what is replayed."""
        grow_at: float = 0.3
        """The share of a later stage's steps after which codes are added; 1: never."""

        def __post_init__(self) -> None:
            for name in ("replay", "distill", "replay_commit"):
                if getattr(self, name) < 0:
                    raise SettingsError(f"method.{name}: {getattr(self, name)} is given, and it cannot be below 0")
            if not 0 < self.grow_at <= 1:
                raise SettingsError(
                    f"method.grow_at: {self.grow_at} is given; a share above 0, and at most 1, is needed"
                )

    settings: Settings
    model: Any

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self._kind, self._translator_settings = part(TRANSLATORS, self.settings.translator, "method.translator")
        self.fitted: dict[str, Tree] = {}  # modality → the last stage that had it, and its translator's state
        self.recent = torch.zeros(0)
        self.grew = 0  # the last stage that was looked at for growth
        self._translators: dict[str, Translator] = {}

    @property
    def mediator(self) -> str:
        """The modality that every other one is paired with."""
        mediator: str = self.model.settings.mediator
        return mediator

    def loss(self, batch: Batch) -> Terms:
        """Return the family's losses between the pairs, replay and distillation."""
        s, output = self.settings, self.model(batch)
        sequences: dict[str, Tensor] = output.blocks[0]
        terms: Terms = self.model.losses(output)
        replayed: dict[str, Tensor] = {}
        if self.mediator in sequences:
            if s.replay:
                replayed = self.replayed(batch)
                terms |= self.compared(sequences, replayed)
            if s.distill and self.clock.stage:
                old = self.mediated(batch, self.clock.stage - 1)
                terms["distill"] = s.distill * mse_loss(sequences[self.mediator], old)
            self._keep(sequences[self.mediator])
        self.model.learn_codes(groups(sequences, list(replayed.values())), progress=self.clock.progress)
        return terms

    # replay ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def mediated(self, batch: Batch, stage: int) -> Tensor:
        """Return the mediator's sequences (B, N, D) as they were at the end of a stage; 0 where it is missing."""
        with self.model.evaluating():
            tokens = self.model.tokens(batch.only([self.mediator]))
            old: Tensor = self.model.sequences(tokens, stage=stage)[self.mediator]
        return old

    @torch.no_grad()
    def replayed(self, batch: Batch) -> dict[str, Tensor]:
        """Return old modality → (B, N, D), drawn from the mediator's half of the batch; 0 where that is missing."""
        drawn = {}
        for m in sorted(self.fitted.keys() - set(batch.modalities)):
            source, translator = self.mediated(batch, self.fitted[m]["stage"]), self.translator(m)
            if self.settings.sampled:
                generator = self.randomness.fresh("replay", m, self.clock.stage, int(self.model.draws))
                replayed = translator.sample(source, generator=generator)
            else:
                replayed, _ = translator(source)
            drawn[m] = torch.where(there(source)[:, None, None], replayed, 0.0)
        return drawn

    def compared(self, sequences: dict[str, Tensor], replayed: dict[str, Tensor]) -> Terms:
        """Return L_pmr: the mean over old modalities of the new one's losses against what is replayed of them.

        Samples that lack the new modality or the mediator do not count.
        """
        model, lost = self.model, []
        for old, drawn in replayed.items():
            for new in (m for m in sequences if m != self.mediator):
                rows = there(sequences[new]) & there(drawn)
                if not bool(rows.any()):
                    continue
                pair, replay = [sequences[m][rows] for m in (new, self.mediator)], drawn[rows]
                terms = model.pairing.between(new, pair[0], old, replay)
                if model.codebook is not None:
                    codes = model.quantise(old, replay).vectors
                    terms += [self.settings.replay_commit * mse_loss(half, codes) for half in pair]
                if terms:
                    lost.append(torch.stack(terms).sum())
        return {"replay": self.settings.replay * torch.stack(lost).mean()} if lost else {}

    # growth ---------------------------------------------------------------------------------------------------

    def _keep(self, sequences: Tensor) -> None:
        """Keep the mediator's newest vectors until it is decided whether codes are added."""
        if self.clock.stage > self.grew and self.model.codebook is not None and self.settings.grow_at < 1:
            flat = sequences.detach()[there(sequences)].flatten(0, 1)
            self.recent = torch.cat([self.recent.to(flat).reshape(-1, flat.shape[1]), flat])[-RECENT:]

    def after_step(self) -> None:
        """Add codes when it is time, once a stage."""
        if self.clock.stage > self.grew and self.clock.progress >= self.settings.grow_at and len(self.recent):
            self.model.codebook.grow(self.recent, seed=derive(self.randomness.seed, "growth", self.clock.stage))
            self.grew, self.recent = self.clock.stage, self.recent[:0]

    # the end of a stage ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def after_stage(self, stage: Stage) -> None:
        """Fit a translator from the mediator to each modality of the stage, and measure what is near to the codes."""
        self.recent = self.recent[:0]
        if self.mediator not in stage.modalities:
            return
        vectors = self._vectors(stage)
        mediators, _ = vectors.pop(self.mediator)
        if self.model.codebook is not None and self.settings.grow_at < 1:
            self.model.codebook.end(mediators)
        if self.settings.replay:
            for m, (source, target) in vectors.items():
                if len(source):
                    self.fit(m, source, target, stage=stage.index)

    def _vectors(self, stage: Stage) -> dict[str, tuple[Tensor, Tensor]]:
        """Return modality → vectors (M, D) of the mediator and its own, of the training samples that have both."""
        held: dict[str, list[tuple[Tensor, Tensor]]] = {m: [] for m in stage.modalities}
        with self.model.evaluating():
            for batch in self.batches(stage.train):
                z = self.model.sequences(self.model.tokens(batch))
                for m in stage.modalities:
                    both = batch.has(m) & batch.has(self.mediator)
                    held[m].append((z[self.mediator][both].flatten(0, 1), z[m][both].flatten(0, 1)))
        return {m: (torch.cat([a for a, _ in parts]), torch.cat([b for _, b in parts])) for m, parts in held.items()}

    def fit(self, modality: str, source: Tensor, target: Tensor, *, stage: int) -> None:
        """Fit a modality's translator on vectors (M, D) of the mediator and its own, as they are after a stage."""
        translator = self._new_translator()
        translator.fit(source, target, seed=derive(self.randomness.seed, "translator", modality))
        self._translators[modality] = translator
        self.fitted[modality] = {"stage": stage, "translator": dict(translator.state_dict())}

    def translator(self, modality: str) -> Translator:
        """Return the translator from the mediator to a modality that came before."""
        if modality not in self._translators:
            translator = self._new_translator()
            translator.load_state_dict(self.fitted[modality]["translator"])
            self._translators[modality] = translator.requires_grad_(False)
        return self._translators[modality]

    def _new_translator(self) -> Translator:
        translator: Translator = self._kind(self.model.width, self._translator_settings)
        return translator.to(self.device)

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        super().load_state_dict(state)
        self._translators.clear()
