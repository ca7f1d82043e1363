"""`replay`: experience replay; each batch is joined with samples from a small memory."""

from dataclasses import dataclass
from typing import ClassVar

from polymnia.data.batch import Batch
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.rehearsal import Rehearsal


@register("replay")
class Replay(Rehearsal):
    """Experience replay: train on the batch and on samples drawn from a memory, as if they were one batch.

    The loss is the mean over the rows of both, so each row counts alike (some codes add the two means instead).
    Drawing comes before the batch itself enters the memory.

    Source: Chaudhry et al. 2019 (On tiny episodic memories), alg. 1: one step on the union of the two batches.
    """

    off: ClassVar[Off] = {"memory": 0}

    @dataclass(frozen=True, kw_only=True)
    class Settings(Rehearsal.Settings):
        """How many samples are kept, and which."""

        policy: str = "reservoir"
        """Which samples stay: the name of a memory (reservoir, class-balanced, herding)."""

    def loss(self, batch: Batch) -> Terms:
        """Return the task's loss over the batch and what is drawn."""
        replayed = self.drawn(batch)
        self.remember(batch)
        return {"task": self.task_loss(self.model(batch.join(replayed) if len(replayed) else batch))}
