"""A host's tokeniser: texts to ids and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polymnia.encoders.quiet import quiet
from polymnia.errors import SettingsError


class Tokeniser:
    """Texts to ids and back; which ids begin and end a text.

    Parameters
    ----------
    held : Any
        A tokeniser of transformers.
    """

    def __init__(self, held: Any) -> None:
        self.held = held

    @classmethod
    def load(cls, folder: Path) -> "Tokeniser":
        """Return the tokeniser in a checkpoint's folder; no code from the folder is run."""
        from transformers import AutoTokenizer

        try:
            with quiet():
                held: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise SettingsError(f"host: {folder} holds no tokeniser: {str(error).splitlines()[0][:200]}") from None
        if held.eos_token_id is None:
            raise SettingsError(f"host: the tokeniser in {folder} names no token that ends a text (eos_token)")
        return cls(held)

    @property
    def end(self) -> int:
        """The id that ends a text."""
        return int(self.held.eos_token_id)

    @property
    def begin(self) -> list[int]:
        """What stands before a prompt: one id, or none where there is no such token."""
        return [] if self.held.bos_token_id is None else [int(self.held.bos_token_id)]

    @property
    def ahead(self) -> int:
        """How many ids stand before a prompt's own; what is seen is put behind them."""
        return len(self.begin)

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, with nothing before or behind it."""
        return list(self.held.encode(text, add_special_tokens=False))

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids up to its end; -1 counts as nothing."""
        held = [i for i in ids if i >= 0]
        cut = held[: held.index(self.end)] if self.end in held else held
        return str(self.held.decode(cut, skip_special_tokens=True)).strip()

    def prompt(self, text: str, *, most: int = 512) -> list[int]:
        """Return the ids of a prompt as a host gets them; of one that is too long, its end."""
        return [*self.begin, *self.ids(text)[-most:]] or [self.end]

    def answer(self, text: str, *, most: int = 256) -> list[int]:
        """Return the ids of an answer as a host is to write them, ended; of one that is too long, its beginning."""
        return [*self.ids(f" {text}")[: most - 1], self.end]
