"""A causal language model of transformers with its tokeniser, frozen; what is learned is carried into its layers."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polymnia.encoders.quiet import quiet
from polymnia.encoders.trunk import Frozen
from polymnia.encoders.weights import initialising
from polymnia.errors import SettingsError
from polymnia.hosts.tokeniser import Tokeniser

Deltas = Mapping[str, nn.Module]
"""Name of a linear layer → what is added to its output: a module of its input (B, T, d)."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a text is written, token by token."""

    most: int = 40
    """Tokens at most."""
    beams: int = 1
    """1: greedy."""
    repetition: float = 1.0
    """Above 1: tokens that were written are less likely again."""
    length: float = 1.0
    """Exponent of the length that a beam's score is divided by."""


class Causal(Frozen):
    """A frozen causal language model.

    Nothing of it is trained and nothing of it is saved with a model. `carrying` adds to the outputs of its linear
    layers while a block lasts, so that a teacher and its student share one network.

    Parameters
    ----------
    network : nn.Module
        A causal language model of transformers.
    tokeniser : Tokeniser
        Its own.
    """

    def __init__(self, network: nn.Module, tokeniser: Tokeniser) -> None:
        super().__init__(network)
        self.tokeniser = tokeniser
        self.deltas: Deltas = {}
        self._hooked: set[str] = set()

    @classmethod
    def load(cls, folder: Path) -> "Causal":
        """Return the model in a folder; no code from the folder is run."""
        from transformers import AutoModelForCausalLM

        try:
            with quiet(), initialising():
                network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0][:200]
            raise SettingsError(f"host: {folder} holds no causal language model: {reason}") from None
        return cls(network, Tokeniser.load(folder))

    @property
    def body(self) -> Any:
        """The part that turns embedded tokens into states."""
        return self.network.base_model

    @property
    def width(self) -> int:
        """The width H of a token's state."""
        return int(self.body.config.hidden_size)

    @property
    def vocabulary(self) -> int:
        """How many tokens V there are."""
        return int(self.network.config.vocab_size)

    # what is carried ------------------------------------------------------------------------------------------

    def places(self, names: Sequence[str]) -> dict[str, nn.Linear]:
        """Return the linear layers of these last names ("q_proj"), by their whole names.

        Raises
        ------
        SettingsError
            There is none of a name.
        """
        own = set(self.body.modules())  # a network may have more: one for vision, say
        found = {
            name: layer for name, layer in self.network.named_modules() if isinstance(layer, nn.Linear) and layer in own
        }
        ends = {name.rpartition(".")[2] for name in found}
        strange = [name for name in names if name not in ends]
        if strange:
            raise SettingsError(f"model.places: {strange[0]!r} is no linear layer of the host; it has {sorted(ends)}")
        return {name: layer for name, layer in found.items() if name.rpartition(".")[2] in names}

    @contextmanager
    def carrying(self, deltas: Deltas) -> Generator[None, None, None]:
        """Add to the outputs of the linear layers inside the block; what was carried before comes back after it."""
        for name in deltas.keys() - self._hooked:
            self.network.get_submodule(name).register_forward_hook(self._adding(name))
            self._hooked.add(name)
        before, self.deltas = self.deltas, deltas
        try:
            yield
        finally:
            self.deltas = before

    def _adding(self, name: str) -> Any:
        def add(layer: nn.Module, given: tuple[Tensor], found: Tensor) -> Tensor | None:
            delta = self.deltas.get(name)
            return None if delta is None else found + delta(given[0])

        return add

    # running --------------------------------------------------------------------------------------------------

    def embed(self, ids: Tensor) -> Tensor:
        """Return (B, T, H) of ids (B, T); -1 gives some token, which is to be masked."""
        embedded: Tensor = self.network.get_input_embeddings()(ids.clamp(min=0))
        return embedded

    def states(self, embedded: Tensor, valid: Tensor) -> Tensor:
        """Return the last states (B, T, H) of embedded tokens; invalid ones are not looked at and take no place.

        Parameters
        ----------
        embedded : Tensor
            (B, T, H).
        valid : Tensor
            (B, T) bool.
        """
        mask = None if bool(valid.all()) else valid.long()
        positions = (valid.long().cumsum(1) - 1).clamp(min=0)
        found = self.body(inputs_embeds=embedded, attention_mask=mask, position_ids=positions, use_cache=False)
        states: Tensor = found.last_hidden_state
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Return (…, V) of states (…, H)."""
        scores: Tensor = self.network.get_output_embeddings()(states)
        return scores

    @torch.inference_mode()
    def write(self, embedded: Tensor, valid: Tensor, decoding: Decoding) -> Tensor:
        """Return the ids (B, L) that follow, -1 behind each end; padding before a row cannot change its text.

        Parameters
        ----------
        embedded : Tensor
            (B, T, H); what is invalid stands before what is valid.
        valid : Tensor
            (B, T) bool.
        decoding : Decoding
            How.
        """
        from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

        again = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(decoding.repetition)])  # of what is written alone
        found: Tensor = self.network.generate(
            inputs_embeds=embedded,
            attention_mask=valid.long(),
            max_new_tokens=decoding.most,
            num_beams=decoding.beams,
            do_sample=False,
            logits_processor=again if decoding.repetition != 1 else None,
            length_penalty=decoding.length,
            eos_token_id=self.tokeniser.end,
            pad_token_id=self.tokeniser.end,
        )
        ends = found == self.tokeniser.end
        return found.masked_fill(ends.cumsum(1) - ends.long() > 0, -1)
