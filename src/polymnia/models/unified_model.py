"""`unified-model`: one sequence of text tokens and picture tokens; it answers about pictures and draws them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from polymnia.config import Named, typed
from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.scenario import SPLITS
from polymnia.data.stage import Outline, Stage, Stream
from polymnia.data.wording import GENERATION
from polymnia.encoders.base import Encoder
from polymnia.encoders.trunk import Trunk
from polymnia.errors import SettingsError
from polymnia.hosts.base import HOSTS
from polymnia.hosts.causal import Decoding
from polymnia.hosts.picture_encoder import PictureEncoder
from polymnia.hosts.texts import ANSWER, PROMPT
from polymnia.hosts.unified import FAR, Following, Unified, as_codes
from polymnia.layers.bridge import packing, taken
from polymnia.layers.deltas.base import PICTURE, TEXT
from polymnia.models.base import Output, check_modalities, register
from polymnia.models.hosted import ASKED, SEEN, Hosted, host
from polymnia.models.sampling import Sampling, drawn

DRAWS = "draws"
"""Of a batch's columns: (B, 1), 1 where the picture is what is to be produced."""
Route = Literal["token", "output"]


@dataclass
class Sequence:
    """Packed rows, as the host reads them.

    Parameters
    ----------
    embedded : Tensor
        (B, T, H).
    valid : Tensor
        (B, T) bool.
    kinds : Tensor
        (B, T): `TEXT` or `PICTURE`.
    wanted : Tensor
        (B, T): what a token is, where it is to be foretold: a text's id, or V and the code; else -1.
    """

    embedded: Tensor
    valid: Tensor
    kinds: Tensor
    wanted: Tensor


@register("unified-model")
class UnifiedModel(Hosted):
    """Reads pictures and draws them, token by token, over one frozen host.

    A sample that is read becomes [picture, prompt, answer], one that is drawn [prompt, picture], both behind what
    begins a prompt; the rows of `Output` are the answer's tokens or the picture's. Logits are (N, V + K): words first,
    then codes, and the other kind cannot be said. Deltas beside the host's linear layers are what is learned.

    Deltas that treat tokens by their kind see `asked.kinds`. With route "token" it is what a token is; with "output"
    all of a sequence counts as what is produced. `route_text` holds when texts are written: in training tokens count as
    what they are. `route_image` holds whenever pictures are drawn, also in training.

    Source: Chameleon Team 2024 (early fusion); Wei et al. 2025 (MoDE), as released: there both routes are "output".
    """

    provides = frozenset({"logits", "text", "drawing"})
    queries = (ASKED, SEEN)

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """The host, what is learned beside it, how kinds are told, and how texts and pictures are made."""

        host: Named = "sketch"
        delta: Named | None = "lora"
        places: tuple[str, ...] = ("gate_proj", "up_proj", "down_proj")
        """Last names of linear layers of the host."""
        prompts: Named | None = None
        """Learned tokens before what the host reads; none: there are none."""
        route_text: Route = "token"
        route_image: Route = "output"
        templates: bool = False
        """Whether training asks in many wordings; tests ask in one."""
        prompt_tokens: int = 512
        answer_tokens: int = 256
        most: int = 40
        """Tokens of an answer that are written at most."""
        drawing: Sampling = field(default_factory=Sampling)
        """A mapping of its settings will do."""

        def __post_init__(self) -> None:
            if isinstance(self.drawing, Mapping):
                object.__setattr__(self, "drawing", typed(Sampling, self.drawing, where="model.drawing"))

    settings: Settings

    @classmethod
    def cut(cls, encoders: Mapping[str, Encoder], settings: Any) -> tuple[dict[str, Encoder], dict[str, Trunk]]:
        """Return the host's own encoder for pictures, which draws what it sees; features that are ready stay."""
        own = PictureEncoder(host(settings))
        return {m: own if encoder.kind == "image" else encoder for m, encoder in encoders.items()}, {}

    @classmethod
    def ready(cls, stream: Stream, settings: Any) -> Stream:
        """Return an encoded stream with the ids of its samples' texts, and which of them are drawn."""
        told = super().ready(stream, settings)
        stages: list[Stage] = []
        for stage in told:
            parts = {split: marked(getattr(stage, split), stage.task == GENERATION) for split in SPLITS}
            stages.append(replace(stage, **parts, earlier=tuple(stages)))
        return replace(told, stages=tuple(stages))

    @property
    def unified(self) -> Unified:
        """The host.

        Raises
        ------
        SettingsError
            It draws no pictures.
        """
        if not isinstance(self.loaded, Unified):
            able = [name for name in HOSTS if HOSTS.get(name).draws]
            raise SettingsError(
                f"model.host: {host(self.settings).name!r} draws no pictures; hosts that do: {', '.join(able)}"
            )
        return self.loaded

    @property
    def promises(self) -> frozenset[str]:
        """Pictures stay where all that is learned is for texts, and nothing of a picture counts as a text."""
        deltas: list[Any] = list(self.deltas.values())
        parts = {part for delta in deltas for part in delta.parts().values()}
        kept = parts <= {"text"} and self.settings.route_image == "output" and self.settings.prompts is None
        return frozenset({"pictures"}) if kept else frozenset()

    @property
    def pictures(self) -> Encoder:
        """The encoder of the host's pictures."""
        return PictureEncoder(host(self.settings), self.unified)

    def _grow(self, stage: Outline) -> None:
        check_modalities(stage)
        for m in stage.modalities:
            if stage.widths[m] != self.unified.seen:
                raise SettingsError(
                    f"stage {stage.name}: tokens of {m!r} have width {stage.widths[m]}, and the host reads pictures of "
                    f"width {self.unified.seen}; a modality of pictures and an encoder of pictures are needed"
                )
        self.grow_deltas(stage)
        self.grow_prompts(stage)

    # sequences ------------------------------------------------------------------------------------------------

    def sequence(self, batch: Batch, *, whole: bool = True) -> Sequence:
        """Return what the host reads of a batch.

        Parameters
        ----------
        batch : Batch
            With the ids of prompts in `columns["prompt"]` (B, P), of answers in `columns["answer"]` (B, L), and
            `columns["draws"]` (B, 1).
        whole : bool
            Whether what is to be produced is part of it; without it padding stands before the tokens, so that one can
            go on.
        """
        if PROMPT not in batch.columns:
            raise SettingsError(
                "model 'unified-model' answers prompts, and the batch has none; its stages need samples with a column "
                "'prompt' (see `polymnia streams`, tasks captioning, answering and generation)"
            )
        draws = drawing(batch)
        self.asked.present = {m: batch.has(m) for m in batch.modalities}
        ahead, everywhere = self.unified.tokeniser.ahead, torch.ones_like(draws)
        parts = [self._picture(batch, m, ~draws) for m in batch.modalities]
        parts.append(self._text(batch.columns[PROMPT][:, ahead:], everywhere))
        parts = [self._text(batch.columns[PROMPT][:, :ahead], everywhere), *self._before(parts), *parts]
        parts += [self._picture(batch, m, draws, drawn=True) for m in batch.modalities if whole]
        if whole and ANSWER in batch.columns:
            parts.append(self._text(batch.columns[ANSWER], ~draws, wanted=True))
        if not whole:
            parts.append(self._opening(draws))
        joined = Sequence(
            torch.cat([part.embedded for part in parts], 1),
            torch.cat([part.valid for part in parts], 1),
            torch.cat([part.kinds for part in parts], 1),
            torch.cat([part.wanted for part in parts], 1),
        )
        if self.settings.route_image == "output":
            joined.kinds = joined.kinds.masked_fill(draws[:, None], PICTURE)
        if self.settings.route_text == "output" and not self.training:
            joined.kinds = joined.kinds.masked_fill(~draws[:, None], TEXT)
        order = packing(joined.valid, behind=whole)
        return Sequence(*(taken(tensor, order) for tensor in vars(joined).values()))

    def _before(self, read: list[Sequence]) -> list[Sequence]:
        """Return the prompts before what is read: pictures, and the question at last."""
        *pictures, asked = read
        of = {ASKED: (asked.embedded, asked.valid)}
        if pictures:
            of[SEEN] = (torch.cat([p.embedded for p in pictures], 1), torch.cat([p.valid for p in pictures], 1))
        prompts = self.prompted(of)
        if prompts is None:
            return []
        tokens, valid = prompts
        kinds = torch.full_like(valid, TEXT, dtype=torch.long)
        return [Sequence(tokens.to(asked.embedded.dtype), valid, kinds, torch.full_like(kinds, -1))]

    def _text(self, ids: Tensor, rows: Tensor, *, wanted: bool = False) -> Sequence:
        valid = (ids >= 0) & rows[:, None]
        kinds = torch.full_like(ids, TEXT)
        return Sequence(self.unified.embed(ids), valid, kinds, ids.masked_fill(~valid, -1) if wanted else kinds - 1)

    def _picture(self, batch: Batch, modality: str, rows: Tensor, *, drawn: bool = False) -> Sequence:
        """Return [mark, tokens, mark] of those of the rows that have it; behind what is drawn no mark is foretold."""
        tokens, there = batch.values[modality], (rows & batch.has(modality))[:, None]
        codes, valid = as_codes(tokens), batch.mask(modality) & there
        first, last = (mark.to(tokens.dtype).expand(len(batch), 1, -1) for mark in self.unified.marks())
        inside = self.unified.embed_codes(codes) if drawn else self.unified.embed_seen(tokens)
        wanted = torch.full_like(codes, -1)
        if drawn:
            wanted = (codes + self.unified.vocabulary).masked_fill(~valid, -1)
        none = torch.full_like(there, -1, dtype=torch.long)
        return Sequence(
            torch.cat([first, inside, last], 1),
            torch.cat([there, valid, there & (not drawn)], 1),
            torch.full((len(batch), codes.shape[1] + 2), PICTURE, device=codes.device),
            torch.cat([none, wanted, none], 1),
        )

    def _opening(self, rows: Tensor) -> Sequence:
        """Return the mark behind which a picture is to be drawn."""
        there = rows[:, None]
        kinds = torch.full_like(there, PICTURE, dtype=torch.long)
        return Sequence(self.unified.marks()[:1].expand(len(rows), 1, -1), there, kinds, -kinds)

    def forward(self, batch: Batch) -> Output:
        """Return logits (N, V + K) and targets (N,): a row for each token that is produced, row by row."""
        read = self.sequence(batch)
        self.asked.kinds = read.kinds
        with self.carried():
            states = self.unified.states(read.embedded, read.valid)
        row, at = (read.wanted[:, 1:] >= 0).nonzero(as_tuple=True)  # the token before foretells it
        return Output(
            self.said(states[row, at], read.wanted[row, at + 1]), read.wanted[row, at + 1], losses=self.own_losses()
        )

    def said(self, states: Tensor, wanted: Tensor) -> Tensor:
        """Return logits (N, V + K) of states (N, H); which kind can be said is that of `wanted` (N,)."""
        words, v = wanted < self.unified.vocabulary, self.unified.vocabulary
        logits = states.new_full((len(states), v + self.unified.codes), FAR)
        logits[words, :v] = self.unified.logits(states[words]).to(logits.dtype)
        logits[~words, v:] = self.unified.code_logits(states[~words]).to(logits.dtype)
        return logits

    # what is made ---------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def answer(self, batch: Batch, decoding: Decoding | None = None) -> list[str]:
        """Return a text for each sample, written token by token; what the batch knows of answers is not looked at.

        A sample that is to be drawn is answered by an empty text.
        """
        with self.evaluating():
            read = self.sequence(undrawn(batch), whole=False)
            self.asked.kinds = read.kinds
            with self.carried():
                ids = self.unified.write(read.embedded, read.valid, decoding or Decoding(most=self.settings.most))
        texts = [self.unified.tokeniser.text(row) for row in ids.tolist()]
        return ["" if draws else text for text, draws in zip(texts, drawing(batch).tolist(), strict=True)]

    @torch.inference_mode()
    def draw(self, batch: Batch, *, random: torch.Generator) -> Tensor:
        """Return codes (B, T) of a picture for each sample's prompt; what the batch knows of pictures is not looked at.

        Parameters
        ----------
        batch : Batch
            With the ids of prompts.
        random : torch.Generator
            On the CPU; what is drawn depends on it and on the rows' order.
        """
        asked = replace(batch, values={}, valid={}, present={}, columns={PROMPT: batch.columns[PROMPT]})
        empty = torch.tensor([self.unified.tokeniser.prompt("")], device=batch.targets.device).expand(len(batch), -1)
        with self.evaluating(), self.carried():
            begun = [self._begun(each) for each in (asked, replace(asked, columns={PROMPT: empty}))[: 1 + self.guided]]
            return drawn(self.unified, begun, settings=self.settings.drawing, random=random)

    @property
    def guided(self) -> bool:
        """Whether what the model would draw unasked is taken into account."""
        return self.settings.drawing.guidance != 1.0

    def _begun(self, batch: Batch) -> Following:
        """Return what has read the prompts of pictures that are to be drawn."""
        all_drawn = torch.ones(len(batch), 1, dtype=torch.long, device=batch.targets.device)
        read = self.sequence(replace(batch, columns={**batch.columns, DRAWS: all_drawn}), whole=False)
        self.asked.kinds = read.kinds
        self.asked.present = {m: all_drawn[:, 0] > 0 for stage in self.grown for m in stage.modalities}
        return self.unified.begun(read.embedded, read.valid)


def drawing(batch: Batch) -> Tensor:
    """Return (B,) bool: of which samples the picture is what is to be produced."""
    if DRAWS not in batch.columns:
        return torch.zeros(len(batch), dtype=torch.bool, device=batch.targets.device)
    return (batch.columns[DRAWS] > 0).any(1)


def undrawn(batch: Batch) -> Batch:
    """Return the batch as if nothing of it were to be drawn."""
    return replace(batch, columns={name: ids for name, ids in batch.columns.items() if name != DRAWS})


def marked(samples: Samples, draws: bool) -> Samples:
    """Return samples that say whether they are drawn; all have answers, possibly none, so that they can be joined."""
    none = {ANSWER: torch.full((len(samples), 1), -1)}
    return replace(samples, sequences={**none, **samples.sequences, DRAWS: torch.full((len(samples), 1), int(draws))})
