"""`comet`: a shared space that grows by modalities, with replay of modalities that are no longer there."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from polymnia.config import Named, part, whole
from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.layers.translators.base import TRANSLATORS, Translator
from polymnia.losses.codes import matching
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
        """What replay, distillation and growth are."""

        replay: float = 1.0
        distill: float = 0.0
        sampled: bool = True
        """Whether what is replayed is drawn from the translator's distribution, or is its mean."""
        translator: Named = "gaussian"
        replay_commit: float = 0.25
        """Of the squared distance of both halves of a pair to the code of what is replayed."""
        grow_at: float = 0.3
        """The share of a later stage's steps after which codes are added; 1: never."""

        def __post_init__(self) -> None:
            if not 0 < self.grow_at <= 1:
                raise SettingsError(
                    f"method.grow_at: {self.grow_at} is given; a share above 0, and at most 1, is needed"
                )

    settings: Settings
    model: Any

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        whole(TRANSLATORS, self.settings.translator, "method.translator")
        self.fitted: dict[str, Tree] = {}  # modality → its translator's state
        self.recent = torch.zeros(0)
        self.grew = 0  # the last stage that was looked at for growth
        self._translators: dict[str, Translator] = {}

    def loss(self, batch: Batch) -> Terms:
        """Return the family's losses between the pairs, replay and distillation."""
        s, output = self.settings, self.model(batch)
        sequences: dict[str, Tensor] = output.blocks[0]
        terms: Terms = self.model.losses(output)
        group = groups(sequences)
        mediator = self.model.settings.mediator
        if mediator in sequences:
            whole_rows = all(bool(there(z).all()) for z in sequences.values())
            if s.replay and whole_rows:
                replayed = self.replayed(batch, new=[m for m in sequences if m != mediator])
                terms |= self.compared(sequences, replayed)
                group += replayed.values()
            if s.distill and self.clock.stage:
                terms["distill"] = s.distill * mse_loss(sequences[mediator], self.mediated(batch, self.clock.stage - 1))
            self._keep(sequences[mediator])
        self.model.learn_codes(group, progress=self.clock.progress)
        return terms

    @torch.no_grad()
    def mediated(self, batch: Batch, stage: int) -> Tensor:
        """Return the mediator's sequences (B, N, D) as they were at the end of a stage."""
        mediator = self.model.settings.mediator
        old: Tensor = self.model.sequences(self.model.tokens(batch.only([mediator])), stage=stage)[mediator]
        return old

    @torch.no_grad()
    def replayed(self, batch: Batch, *, new: list[str]) -> dict[str, Tensor]:
        """Return modality → (B, N, D) drawn from the mediator's half of the batch, for each old modality."""
        drawn = {}
        for m in sorted(self.fitted.keys() - set(new)):
            source = self.mediated(batch, self.model.born(m))
            generator = self.randomness.fresh("replay", m, self.clock.stage, int(self.model.draws))
            translator = self.translator(m)
            drawn[m] = (
                translator.sample(source, generator=generator) if self.settings.sampled else translator(source)[0]
            )
        return drawn

    def compared(self, sequences: dict[str, Tensor], replayed: dict[str, Tensor]) -> Terms:
        """Return L_pmr: the mean over old modalities of the new one's losses against what is replayed of them."""
        model, s, mediator = self.model, self.settings, self.model.settings.mediator
        lost = []
        for old, drawn in replayed.items():
            for new in (m for m in sequences if m != mediator):
                term = model.settings.contrast * model.pairing.objective.between(new, sequences[new], old, drawn)
                if model.codebook is not None:
                    codes = model.quantise(old, drawn).vectors.detach()
                    term = term + model.settings.match * matching(sequences[new], drawn, model.codebook.codes)
                    for m in (new, mediator):
                        term = term + s.replay_commit * mse_loss(sequences[m], codes)
                lost.append(term)
        return {"replay": s.replay * torch.stack(lost).mean()} if lost else {}

    def _keep(self, vectors: Tensor) -> None:
        """Keep the mediator's newest vectors until it is decided whether codes are added."""
        if self.clock.stage > self.grew and self.model.codebook is not None and self.settings.grow_at < 1:
            flat = vectors.detach().flatten(0, 1)
            self.recent = torch.cat([self.recent.reshape(-1, flat.shape[1]), flat])[-RECENT:]

    def after_step(self) -> None:
        """Add codes when it is time, once a stage."""
        if self.clock.stage > self.grew and self.clock.progress >= self.settings.grow_at and len(self.recent):
            self.model.codebook.grow(self.recent, seed=derive(self.randomness.seed, "growth", self.clock.stage))
            self.grew, self.recent = self.clock.stage, self.recent[:0]

    @torch.no_grad()
    def after_stage(self, stage: Stage) -> None:
        """Fit a translator from the mediator to each modality of the stage, and measure what is near to the codes."""
        mediator, held = self.model.settings.mediator, {m: [] for m in stage.modalities}
        was_training = self.model.training
        self.model.eval()
        for batch in self.batches(stage.train):
            whole_rows = torch.stack([batch.has(m) for m in stage.modalities]).all(0)
            for m, z in self.model.sequences(self.model.tokens(batch.take(whole_rows))).items():
                held[m].append(z.flatten(0, 1))
        self.model.train(was_training)
        vectors = {m: torch.cat(parts) for m, parts in held.items()}
        if self.model.codebook is not None and self.settings.grow_at < 1:
            self.model.codebook.end(vectors[mediator])
        if self.settings.replay:
            for m in sorted(vectors.keys() - {mediator}):
                self.fit(m, vectors[mediator], vectors[m])
        self.recent = self.recent[:0]

    def fit(self, modality: str, source: Tensor, target: Tensor) -> None:
        """Fit a modality's translator on vectors (M, D) of the mediator and its own."""
        translator = self._new_translator(source.shape[1])
        translator.fit(source, target, seed=derive(self.randomness.seed, "translator", modality))
        self._translators[modality] = translator
        self.fitted[modality] = dict(translator.state_dict())

    def translator(self, modality: str) -> Translator:
        """Return the translator from the mediator to a modality that came before."""
        if modality not in self._translators:
            translator = self._new_translator(self.model.width)
            translator.load_state_dict(self.fitted[modality])
            self._translators[modality] = translator.requires_grad_(False)
        return self._translators[modality]

    def _new_translator(self, width: int) -> Translator:
        kind, settings = part(TRANSLATORS, self.settings.translator, "method.translator")
        translator: Translator = kind(width, settings)
        return translator.to(self.device)

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        super().load_state_dict(state)
        self._translators.clear()
