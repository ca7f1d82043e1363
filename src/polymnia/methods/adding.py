"""Methods that only add losses to whatever else is done: alone they are fine-tuning with a term more."""

from abc import ABC, abstractmethod

from polymnia.data.batch import Batch
from polymnia.methods.base import Method, Terms


class Adding(Method, ABC):
    """Base of methods whose losses are added to any other method's: see `combined`.

    They train on the stage's own samples, and predict as the model does.
    """

    def loss(self, batch: Batch) -> Terms:
        """Return the task's loss and what is added."""
        return super().loss(batch) | self.added(batch)

    @abstractmethod
    def added(self, batch: Batch) -> Terms:
        """Return the named losses that are added for a batch; possibly none."""
