"""A linear probe in closed form: the same vectors and classes give the same probe."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

PENALTY = 0.01
"""Of the mean variance: small, free of the vectors' scale, and needed where vectors are fewer than their width."""


@dataclass(frozen=True)
class Ridge:
    """Classes by regression on their indicators: ``argmax (x − mean) W + prior``.

    Parameters
    ----------
    classes : Tensor
        (K,) the classes that it knows.
    mean, weights, prior : Tensor
        (D,), (D, K) and (K,), float64.
    """

    classes: Tensor
    mean: Tensor
    weights: Tensor
    prior: Tensor

    def accuracy(self, vectors: Tensor, targets: Tensor) -> float | None:
        """Return the share of vectors (N, D) whose class is found, of those with a class it knows; None: of none."""
        known = torch.isin(targets, self.classes)
        if not bool(known.any()):
            return None
        return float((self.read(vectors[known]) == targets[known]).double().mean())

    def read(self, vectors: Tensor) -> Tensor:
        """Return the class (N,) that each vector (N, D) is taken for."""
        scores = (vectors.double() - self.mean) @ self.weights + self.prior
        return self.classes[scores.argmax(1)]


def ridge(vectors: Tensor, targets: Tensor) -> Ridge | None:
    """Return the probe fitted to vectors (N, D) with a class (≥ 0); None where there are fewer than two classes.

    Source: Hoerl and Kennard 1970; as the probe of a shared space, the specification's section 4.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> ridge(x, torch.tensor([3, 3, 5, 5])).accuracy(x.flip(0), torch.tensor([5, 5, 3, 7]))  # 7 is not known
    1.0
    """
    labelled = targets >= 0
    classes, numbers = targets[labelled].unique(return_inverse=True)
    if len(classes) < 2:
        return None
    wide = vectors[labelled].double()
    mean = wide.mean(0)
    centred = wide - mean
    wanted = one_hot(numbers, len(classes)).double()
    prior = wanted.mean(0)
    gram = centred.T @ centred / len(wide)
    scale = gram.diagonal().mean().clamp(min=torch.finfo(torch.float64).tiny)
    penalised = gram + PENALTY * scale * torch.eye(len(gram), dtype=gram.dtype)
    weights = torch.linalg.solve(penalised, centred.T @ (wanted - prior) / len(wide))
    return Ridge(classes, mean, weights, prior)
