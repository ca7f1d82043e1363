"""`language-model`: encoders' tokens → a bridge per modality → in front of the prompt → a frozen language model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from polymnia.config import Named
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.hosts.causal import Decoding
from polymnia.hosts.texts import ANSWER, PROMPT
from polymnia.layers.bridge import Bridge, Pooling, packed
from polymnia.models.base import Output, check_modalities, register
from polymnia.models.hosted import ASKED, Hosted


@register("language-model")
class LanguageModel(Hosted):
    """Answers in words, by what is seen or heard.

    A sample becomes [cue, tokens] of each of its modalities, then the prompt, then the answer; the rows of `Output` are
    the answer's tokens. The host is frozen and shared by all copies; a bridge per modality and, beside linear layers of
    the host, deltas are what is learned.

    Source: Pian et al. 2024 (MoInCL), the model of its released code.
    """

    provides = frozenset({"logits", "text", "bridges"})
    shards = True

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """The host, what is learned beside it, and how texts are written."""

        host: Named = "smollm2"
        delta: Named | None = "lora"
        """Beside linear layers of the host; none: the host stays as it is, and bridges alone are learned."""
        places: tuple[str, ...] = ("q_proj", "v_proj")
        """Last names of those linear layers."""
        prompts: Named | None = None
        """Learned tokens before what the host reads; none: there are none."""
        pooling: Pooling = "none"
        grid: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
        """Modality → height and width of the grid that its tokens are, for pooling; others are not pooled."""
        freeze_seen: bool = False
        """Whether the bridge of a modality that comes again stays as it was."""
        templates: bool = True
        """Whether training asks in many wordings; tests ask in one."""
        prompt_tokens: int = 512
        answer_tokens: int = 256
        most: int = 40
        """Tokens that are written at most."""
        beams: int = 1
        repetition: float = 1.0

    settings: Settings

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.bridges = nn.ModuleDict()

    @property
    def decoding(self) -> Decoding:
        """How texts are written, as the settings say."""
        return Decoding(most=self.settings.most, beams=self.settings.beams, repetition=self.settings.repetition)

    def _grow(self, stage: Outline) -> None:
        check_modalities(stage)
        s, loaded = self.settings, self.loaded
        for m in stage.modalities:
            if m in self.bridges:
                self.bridges[m].requires_grad_(not s.freeze_seen)
            else:
                grid = tuple(s.grid.get(m, ()))
                pooling: Pooling = s.pooling if grid else "none"
                self.bridges[m] = Bridge(stage.widths[m], loaded.width, pooling=pooling, grid=grid)
        self.grow_deltas(stage)
        self.grow_prompts(stage)

    # what is asked --------------------------------------------------------------------------------------------

    def embedded(self, batch: Batch, *, answers: bool = True, behind: bool = True) -> tuple[Tensor, Tensor]:
        """Return what the host reads, (B, T, H), and which of it is valid (B, T).

        Parameters
        ----------
        batch : Batch
            With the ids of prompts in `columns["prompt"]` (B, P), and of answers in `columns["answer"]` (B, L).
        answers : bool
            Whether the answers are part of it.
        behind : bool
            Whether padding goes behind the tokens, or before them.
        """
        parts = [self._seen(batch, m) for m in batch.modalities if m in self.bridges]
        texts = [name for name in (PROMPT, ANSWER) if name in batch.columns and (answers or name == PROMPT)]
        if PROMPT not in texts:
            raise SettingsError(
                "model 'language-model' answers prompts, and the batch has none; its stages need samples with a "
                "column 'prompt' (see `polymnia streams`, task captioning or answering)"
            )
        parts += [(self.loaded.embed(batch.columns[name]), batch.columns[name] >= 0) for name in texts]
        prompts = self.prompted({ASKED: parts[len(parts) - len(texts)]})
        parts = parts if prompts is None else [prompts, *parts]
        tokens, valid = torch.cat([part for part, _ in parts], 1), torch.cat([mask for _, mask in parts], 1)
        return packed(tokens, valid, behind=behind)

    def _seen(self, batch: Batch, modality: str) -> tuple[Tensor, Tensor]:
        """Return the cue and a modality's tokens, (B, T, H), and which are valid: none where it is missing."""
        tokens, valid = self.bridges[modality](batch.values[modality], batch.mask(modality))
        ids = torch.tensor([self.loaded.tokeniser.ids(f" {modality}: ")], device=tokens.device)
        cue = self.loaded.embed(ids).expand(len(batch), -1, -1)
        mask = torch.cat([valid.new_ones(cue.shape[:2]), valid], 1)
        return torch.cat([cue.to(tokens.dtype), tokens], 1), mask & batch.has(modality)[:, None]

    def _carried(self, batch: Batch) -> Any:
        """Let the host carry the deltas inside a block, which are told what the batch has."""
        self.asked.present = {m: batch.has(m) for m in sorted(self.bridges)}
        return self.carried()

    def forward(self, batch: Batch) -> Output:
        """Return logits (N, V) and targets (N,): one row for each token of the answers, ends included, row by row."""
        embedded, valid = self.embedded(batch)
        with self._carried(batch):
            states = self.loaded.states(embedded, valid)
        answers = batch.columns.get(ANSWER, batch.targets.new_zeros((len(batch), 0)))
        row, at = (answers >= 0).nonzero(as_tuple=True)
        begin = valid.sum(1) - (answers >= 0).sum(1)  # where in a row the answer begins; the token before foretells it
        logits = self.loaded.logits(states[row, begin[row] + at - 1])
        return Output(logits, answers[row, at], losses=self.own_losses())

    def continued(self, ids: Tensor) -> Tensor:
        """Return the logits (N, V) of what follows each token of texts alone, ids (B, L) with -1 behind the end."""
        batch = Batch({}, ids.new_full((len(ids),), -1), columns={PROMPT: ids})
        embedded, valid = self.embedded(batch, answers=False)
        with self._carried(batch):
            return self.loaded.logits(self.loaded.states(embedded, valid)[valid])

    def answer(self, batch: Batch, decoding: Decoding | None = None) -> list[str]:
        """Return a text for each sample, written token by token; what the batch knows of answers is not looked at."""
        with torch.inference_mode(), self.evaluating():
            embedded, valid = self.embedded(batch, answers=False, behind=False)
            with self._carried(batch):
                ids = self.loaded.write(embedded, valid, self.decoding if decoding is None else decoding)
        return [self.loaded.tokeniser.text(row) for row in ids.tolist()]
