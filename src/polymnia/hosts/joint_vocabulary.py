"""A unified host whose pictures are tokens of its vocabulary, beside the words."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymnia.data.modality import Array
from polymnia.encoders.trunk import Frozen
from polymnia.hosts.pictures import PictureTokeniser, to_pictures, to_pixels
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.hosts.unified import FAR, Unified, as_tokens


class JointVocabulary(Unified):
    """Reads and draws by one table of embeddings: some of its ids are words, some are codes, two are marks.

    Parameters
    ----------
    network : nn.Module
        A causal language model of transformers.
    tokeniser : Tokeniser
        Of texts.
    pictures : PictureTokeniser
        Of pictures.
    ids : Tensor
        (K,) the id of each code.
    marks : tuple of int
        The ids before and behind a picture.

    Source: Chameleon Team 2024, section 2.
    """

    seen = 2
    ids: Tensor

    def __init__(
        self,
        network: nn.Module,
        tokeniser: Tokeniser,
        pictures: PictureTokeniser,
        *,
        ids: Tensor,
        marks: tuple[int, int],
    ) -> None:
        super().__init__(network, tokeniser)
        self.pictures = Frozen(pictures)
        self.codes, self.length = pictures.codes, pictures.length
        self.register_buffer("ids", ids, persistent=False)
        self._marks = marks

    def look(self, pictures: Sequence[Array]) -> list[Tensor]:
        """Return (T, 2) of each picture: its codes."""
        tokeniser: PictureTokeniser = self.pictures.network
        with torch.inference_mode():
            codes = [tokeniser.encode(to_pixels([picture], tokeniser.side).to(self.ids.device)) for picture in pictures]
        return [as_tokens(each[0].cpu()) for each in codes]

    @torch.inference_mode()
    def pixels(self, codes: Tensor) -> Tensor:
        """Return pictures (B, h, w, 3) in uint8 of codes (B, T)."""
        return to_pictures(self.pictures.network.decode(codes))

    def marks(self) -> Tensor:
        """Return the embeddings (2, H) of the marks."""
        return self.embed(torch.tensor([self._marks], device=self.ids.device))[0]

    def embed_codes(self, codes: Tensor) -> Tensor:
        """Return (B, T, H) of codes (B, T)."""
        return self.embed(self.ids[codes.clamp(min=0)])

    def logits(self, states: Tensor) -> Tensor:
        """Return (…, V) of states (…, H); no code and no mark can be said."""
        scores = super().logits(states)
        unsaid = torch.cat([self.ids, self.ids.new_tensor(self._marks)])
        return scores.index_fill(-1, unsaid, FAR)

    def code_logits(self, states: Tensor) -> Tensor:
        """Return (…, K) of states (…, H)."""
        rows: Tensor = self.network.get_output_embeddings().weight[self.ids]
        return states @ rows.T
