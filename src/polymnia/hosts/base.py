"""A host: a frozen causal language model, with its tokeniser, that a family builds on."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from polymnia.data.stage import Card
from polymnia.hosts.instructions import instructions
from polymnia.registry import NoSettings, Registry

if TYPE_CHECKING:
    from polymnia.hosts.causal import Causal
    from polymnia.hosts.tokeniser import Tokeniser


class Host(ABC):
    """Base of all hosts: where a checkpoint is, or how it is made once.

    A host is registered by name; `Settings` is a frozen dataclass of what a user may set. Its weights are loaded when a
    model first grows.
    """

    name: ClassVar[str]
    card: ClassVar[Card]
    draws: ClassVar[bool] = False
    """Whether it also reads and draws pictures, token by token: its `load` returns a `Unified`."""

    Settings: type[Any] = NoSettings

    def __init__(self, settings: Any = None) -> None:
        self.settings: Any = self.Settings() if settings is None else settings

    @abstractmethod
    def folder(self) -> Path:
        """Return the folder of its checkpoint in the layout of transformers; it is made first where it is not there.

        Raises
        ------
        SettingsError
            There is none, or what it is made of is not installed.
        """

    @classmethod
    def available(cls) -> bool:
        """Return whether everything it needs is installed, for its settings as they are by default."""
        return True

    def load(self) -> "Causal":
        """Return the language model, frozen, on the CPU."""
        from polymnia.hosts.causal import Causal

        return Causal.load(self.folder())

    def tokeniser(self) -> "Tokeniser":
        """Return the tokeniser alone."""
        from polymnia.hosts.tokeniser import Tokeniser

        return Tokeniser.load(self.folder())

    def instructions(self) -> list[str]:
        """Return texts without any picture or sound, no part of any task: what the model should go on doing."""
        return instructions()

    def quiz(self) -> list[tuple[str, str]]:
        """Return prompts of text alone and their right answers, by which the host's skill is measured."""
        return []

    def questions(self) -> list[str]:
        """Return questions that the model may be asked of a description; none: it writes its own."""
        return []

    def reading(self, description: str, question: str = "") -> str:
        """Return the prompt by which the model, with nothing carried, answers a question about a description.

        Without a question it is to write one, and its answer.

        The wording is our own [X]: of the prompt the paper says nothing.
        """
        given = f"given the description: {description}."
        return f"{given} {question or 'write one question about it and a one- or two-word answer.'}"


HOSTS: Registry[type[Host]] = Registry("host", "polymnia.hosts")
register = HOSTS.register
