"""How often a run says the right class, on data from anywhere whose classes it knows by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polymnia.data.samples import Samples
from polymnia.data.tokens import Tokens
from polymnia.serving.loading import Learned


@dataclass(frozen=True, kw_only=True)
class Classified:
    """How often the right class was said.

    Parameters
    ----------
    right, of : int
        So many of so many samples.
    known : int
        Classes that the run chose from.
    by_class : dict
        Class → (right, of), of the classes that the samples have.
    """

    right: int
    of: int
    known: int
    by_class: Mapping[str, tuple[int, int]]

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return self.right / self.of

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        by_class = {name: {"accuracy": right / of, "of": of} for name, (right, of) in self.by_class.items()}
        return {"accuracy": self.accuracy, "of": self.of, "known classes": self.known, "chance": 1 / self.known,
                "by class": by_class}  # fmt: skip


def known_classes(learned: Learned) -> set[str]:
    """Return the names of the classes that a run has learned by its stage."""
    return {learned.class_names[c] for outline in learned.method.model.grown for c in outline.classes}


def labels(samples: Samples, class_names: Sequence[str]) -> NDArray[np.str_]:
    """Return (N,) the names of the samples' classes, "" where there is none."""
    return np.array([class_names[t] if t >= 0 else "" for t in samples.targets.tolist()], dtype=np.str_)


def classified(
    learned: Learned, samples: Samples, tokens: Mapping[str, Tokens], names: NDArray[np.str_], rows: Tensor
) -> Classified:
    """Return how often the class of some samples was said, out of all that the run knows.

    Parameters
    ----------
    learned : Learned
        Over a model that classifies.
    samples : Samples
        N of them; their values are not looked at.
    tokens : Mapping
        Modality → the tokens of its N values.
    names : NDArray
        (N,) the right classes.
    rows : Tensor
        Which samples: at least one.
    """
    held = Samples(
        samples.ids, dict(tokens), {m: samples.present[m] for m in tokens}, torch.full((len(samples),), -1)
    ).subset(rows)
    method = learned.method
    said = torch.cat([method.predict(batch).logits.argmax(1).cpu() for batch in method.batches(held)])
    wanted = names[rows.numpy()]
    right = np.array(learned.class_names)[said.numpy()] == wanted
    by_class = {
        str(name): (int(right[wanted == name].sum()), int((wanted == name).sum())) for name in np.unique(wanted)
    }
    return Classified(right=int(right.sum()), of=len(rows), known=len(known_classes(learned)), by_class=by_class)
