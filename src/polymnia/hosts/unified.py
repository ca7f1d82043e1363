"""A unified host: one frozen causal language model over text tokens and picture tokens; it reads and it draws."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.errors import SettingsError
from polymnia.hosts.causal import Causal, Decoding

FAR = -1e4
"""The logit of what cannot be said: a code where a text is written, a word where a picture is drawn."""


class Unified(Causal):
    """A frozen language model that also reads pictures as tokens and draws them, code after code.

    A picture is what stands between two marks. When it is drawn it is `length` codes of `codes`; when it is read it
    may be more than that (an own vision network's features), so an encoded picture is (T, d): in each token the code,
    in two numbers (see `as_tokens`), and behind them what else reading wants, if anything.
    """

    codes: int
    """How many codes K there are."""
    length: int
    """How many tokens T a picture has, without its marks."""
    seen: int
    """Width d of an encoded picture's tokens: 2, and that of the features."""

    # pictures to tokens and back ------------------------------------------------------------------------------

    @abstractmethod
    def look(self, pictures: Sequence[Array]) -> list[Tensor]:
        """Return (T, d) of each picture (h, w, 3) in uint8, of any size; no result depends on the others."""

    @abstractmethod
    def pixels(self, codes: Tensor) -> Tensor:
        """Return pictures (B, h, w, 3) in uint8 of codes (B, T)."""

    # tokens to embeddings, states to logits -------------------------------------------------------------------

    @abstractmethod
    def marks(self) -> Tensor:
        """Return the embeddings (2, H) of the marks before and behind a picture."""

    @abstractmethod
    def embed_codes(self, codes: Tensor) -> Tensor:
        """Return (B, T, H) of codes (B, T), as what was drawn so far is read; -1 gives some code."""

    def embed_seen(self, tokens: Tensor) -> Tensor:
        """Return (B, T, H) of encoded pictures (B, T, d) that are read."""
        return self.embed_codes(as_codes(tokens))

    @abstractmethod
    def code_logits(self, states: Tensor) -> Tensor:
        """Return (…, K) of states (…, H)."""

    # step by step ---------------------------------------------------------------------------------------------

    def begun(self, embedded: Tensor, valid: Tensor) -> "Following":
        """Return what has read (B, T, H), invalid tokens before valid ones, and can go on from there."""
        return Following(self.body, embedded, valid)

    @torch.inference_mode()
    def write(self, embedded: Tensor, valid: Tensor, decoding: Decoding) -> Tensor:
        """Return the ids (B, L) that follow, greedily, -1 behind each end.

        Raises
        ------
        SettingsError
            Beams or a penalty of repetition are asked for.
        """
        if decoding.beams != 1 or decoding.repetition != 1:
            raise SettingsError(
                f"a unified host writes greedily: beams {decoding.beams} and repetition {decoding.repetition} are "
                "given; 1 and 1 are accepted"
            )
        following, ids = self.begun(embedded, valid), []
        ended = torch.zeros(len(embedded), dtype=torch.bool, device=embedded.device)
        for _ in range(decoding.most):
            chosen = self.logits(following.state).argmax(-1)
            ids.append(chosen.masked_fill(ended, -1))
            ended = ended | (chosen == self.tokeniser.end)
            if bool(ended.all()) or len(ids) == decoding.most:
                break
            following.go_on(self.embed(chosen[:, None]))
        return torch.stack(ids, 1)


def as_tokens(codes: Tensor) -> Tensor:
    """Return codes (…) as (…, 2), thousands and the rest: tokens are kept in half precision, which counts to 2,048.

    Examples
    --------
    >>> as_tokens(torch.tensor([3, 5000])).tolist()
    [[0.0, 3.0], [5.0, 0.0]]
    >>> as_codes(as_tokens(torch.tensor([8191])).half()).tolist()
    [8191]
    """
    return torch.stack([codes // 1000, codes % 1000], -1).float()


def as_codes(tokens: Tensor) -> Tensor:
    """Return codes (…) of an encoded picture's tokens (…, d)."""
    return 1000 * tokens[..., 0].long() + tokens[..., 1].long()


class Following:
    """A sequence that is followed token by token, with the keys and values of what was before.

    Parameters
    ----------
    body : Any
        A decoder of transformers.
    embedded : Tensor
        (B, T, H).
    valid : Tensor
        (B, T) bool; what is invalid stands before what is valid.

    Attributes
    ----------
    state : Tensor
        (B, H) of the newest token.
    """

    def __init__(self, body: Any, embedded: Tensor, valid: Tensor) -> None:
        from transformers import DynamicCache

        self.body, self.cache = body, DynamicCache()
        self.valid = valid[:, :0]
        self.state = self.go_on(embedded, valid)

    def go_on(self, embedded: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the state (B, H) after tokens (B, T, H) more; all of them are valid unless it is said."""
        new = torch.ones(embedded.shape[:2], dtype=torch.bool, device=embedded.device) if valid is None else valid
        self.valid = torch.cat([self.valid, new], 1)
        positions = (self.valid.long().cumsum(1) - 1).clamp(min=0)[:, -embedded.shape[1] :]
        found = self.body(
            inputs_embeds=embedded,
            attention_mask=self.valid.long(),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.state = found.last_hidden_state[:, -1]
        return self.state
