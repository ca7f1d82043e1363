"""What hosts from checkpoints of transformers that read and draw share: where they are, how they are loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from polymnia.encoders.checkpoint import Checkpoint
from polymnia.encoders.preparing import said
from polymnia.encoders.quiet import quiet
from polymnia.encoders.weights import initialising
from polymnia.errors import SettingsError
from polymnia.hosts.base import Host
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.hosts.unified import Following, Unified


class UnifiedCheckpoint(Host):
    """A checkpoint of one class of transformers, by a folder or a name on the hub; code in it is never run."""

    draws = True
    architecture: ClassVar[str]
    """The class of transformers."""
    single: ClassVar[tuple[str, ...]] = ("vqmodel", "vision_model")
    """Parts that stay in float32: they work once a picture, and in half precision the nearest code is often another."""
    spared: ClassVar[tuple[str, ...]] = ()
    """Parts whose weights a checkpoint may lack."""

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which one, and in what precision."""

        path: str = ""
        """A folder, or a name on the hub, looked up on this machine first."""
        revision: str | None = None
        """Branch, tag or commit of a name."""
        dtype: Literal["float32", "bfloat16", "float16"] = "float32"
        """Of the host's weights; pictures are always encoded in float32."""

        def __post_init__(self) -> None:
            if not self.path:
                raise SettingsError(
                    "model.host.path is missing; name a folder that `save_pretrained` made, or a name on the hub"
                )

    @classmethod
    def available(cls) -> bool:
        """Return False: without a path there is nothing."""
        return False

    def folder(self) -> Path:
        """Return the checkpoint's folder.

        Raises
        ------
        SettingsError
            There is none, or it is of another kind.
        """
        found = Checkpoint(self.settings.path, self.settings.revision)
        if found.type != self.name:
            raise SettingsError(
                f"model.host.path: {self.settings.path} holds a {found.type!r}; host {self.name!r} is for {self.name!r}"
            )
        return found.folder

    def network(self) -> Any:
        """Return the network.

        Raises
        ------
        SettingsError
            Weights are missing or cannot be read.
        """
        import transformers

        folder, kind = self.folder(), getattr(transformers, self.architecture)
        parted = type(kind.__name__, (kind,), {"_keep_in_fp32_modules_strict": self.single})
        with said(f"host {self.name!r}: {folder} cannot be loaded"), quiet(), initialising():
            network, told = parted.from_pretrained(
                folder, dtype=getattr(torch, self.settings.dtype), local_files_only=True, output_loading_info=True
            )
        missing = [name for name in sorted(told["missing_keys"]) if not any(part in name for part in self.spared)]
        if missing:
            raise SettingsError(
                f"host {self.name!r}: {folder} lacks {len(missing)} weights of {self.architecture}, first "
                f"{missing[0]!r}"
            )
        return network


class AnyPrecision(Unified):
    """A unified host whose weights may be in half precision; what is learned beside it and what it says are not."""

    @property
    def precision(self) -> torch.dtype:
        """That of the language model's weights."""
        found: torch.dtype = self.network.get_input_embeddings().weight.dtype
        return found

    def states(self, embedded: Tensor, valid: Tensor) -> Tensor:
        """Return the last states (B, T, H) of embedded tokens (B, T, H), in float32 at least."""
        return at_least_single(super().states(embedded.to(self.precision), valid))

    def begun(self, embedded: Tensor, valid: Tensor) -> Following:
        """Return what has read (B, T, H), and can go on from there."""
        return super().begun(embedded.to(self.precision), valid)

    def logits(self, states: Tensor) -> Tensor:
        """Return (…, V) of states (…, H), in float32 at least."""
        return at_least_single(super().logits(states.to(self.precision)))

    def _adding(self, name: str) -> Any:
        def add(layer: nn.Module, given: tuple[Tensor], found: Tensor) -> Tensor | None:
            delta = self.deltas.get(name)
            if delta is None:
                return None
            learned = next(delta.parameters(), None)
            inside = given[0] if learned is None else given[0].to(learned.dtype)
            return found + delta(inside).to(found.dtype)

        return add


def at_least_single(tensor: Tensor) -> Tensor:
    """Return a tensor in float32, or in float64 where it is that.

    Examples
    --------
    >>> at_least_single(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def special(tokeniser: Tokeniser, role: str, *, usual: str) -> int:
    """Return the id of a token that a tokeniser names by its role ("boi_token"); `usual` is its name otherwise.

    Raises
    ------
    SettingsError
        The tokeniser has no such token.
    """
    name = getattr(tokeniser.held, role, None) or usual
    found = tokeniser.held.get_vocab().get(str(name))
    if found is None:
        raise SettingsError(f"host: the tokeniser names no {role}, and has no token {usual!r}, which marks pictures")
    return int(found)
