"""What a model in use is asked: `predict`, `answer`, `history`, whatever folder it comes from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch

from polymnia.data.modality import Raw
from polymnia.growing.book import Entry
from polymnia.growing.predicting import Answer, Prediction, answers, predictions
from polymnia.serving.loading import Learned


class InUse(ABC):
    """A model that answers."""

    @property
    @abstractmethod
    def version(self) -> str:
        """The name of the version in use; "" before the first."""

    @abstractmethod
    def history(self) -> tuple[Entry, ...]:
        """Return everything that happened to the model, oldest first."""

    @abstractmethod
    def _load(self) -> Learned:
        """Return the method in use, with its encoders."""

    @cached_property
    def learned(self) -> Learned:
        """The method in use, with its encoders."""
        return self._load()

    def predict(self, values: Mapping[str, Sequence[Raw | None]], *, top: int = 3) -> list[Prediction]:
        """Return the likeliest classes of values; row i of every modality is of one thing.

        Parameters
        ----------
        values : Mapping
            Modality → N files, texts or arrays; None where a thing lacks it.
        top : int
            How many classes to name.
        """
        with torch.inference_mode():
            return predictions(self.learned, values, top=top)

    def answer(self, values: Mapping[str, Sequence[Raw | None]], *, question: str = "") -> list[Answer]:
        """Return what the model answers to a question about things, or its captions of them.

        Parameters
        ----------
        values : Mapping
            As for `predict`.
        question : str
            Empty: a caption.
        """
        with torch.inference_mode():
            many = max((len(column) for column in values.values()), default=0)
            return answers(self.learned, values, questions=[question] * many)
