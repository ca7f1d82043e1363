"""A scorer: the one number that says how well a method does a task."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from polymnia.data.samples import Samples
from polymnia.data.stage import Outline
from polymnia.evaluation.scores import BETWEEN
from polymnia.methods.base import Method
from polymnia.registry import Registry


class Scorer(ABC):
    """Base of all scorers; registered under the task that it scores. More is better."""

    name: ClassVar[str]
    metric: ClassVar[str]
    """What the score is called; `evaluation.scores.SHARES` has the beginnings of those shown in per cent."""
    by_class: ClassVar[bool] = False
    """Whether it chooses among classes, so that a stage's identity can help."""
    subsets: ClassVar[bool] = False
    """Whether samples with fewer modalities can be scored."""

    @abstractmethod
    def score(
        self, method: Method, samples: Samples, *, among: Sequence[int] | None = None, batch_size: int = 512
    ) -> float | None:
        """Return the score of encoded samples; None where there is nothing to score.

        Parameters
        ----------
        method : Method
            Its `predict` is what is scored.
        samples : Samples
            Encoded.
        among : sequence of int, optional
            The classes to choose from, where the stage's identity is given.
        batch_size : int
            Rows at once; it cannot change the score.
        """


SCORERS: Registry[type[Scorer]] = Registry("task that can be scored", "polymnia.evaluation.scorers")
register = SCORERS.register


def scorer(task: str) -> Scorer:
    """Return the scorer of a task, or raise SettingsError with the tasks there are."""
    return SCORERS.get(task)()


def named(stages: Iterable[Outline], *, task_identity: bool = False) -> str:
    """Return what the scores of a stream's stages are called.

    A stream of several tasks has one metric a task, in the order of arrival: "accuracy; retrieval R@10". Each column
    of its matrix holds the score of its own stage's task, and means over columns mix them: read these as a rough sum.

    Examples
    --------
    >>> named([Outline(index=0, name="a"), Outline(index=1, name="b", task="pairing")])
    'accuracy; retrieval R@10'
    """
    kinds = [SCORERS.get(task) for task in dict.fromkeys(stage.task for stage in stages)]
    given = [" (stage given)" if task_identity and kind.by_class else "" for kind in kinds]
    return BETWEEN.join(f"{kind.metric}{more}" for kind, more in zip(kinds, given, strict=True))
