"""Distillation: how far a student's logits are from a teacher's, one value a row."""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div, log_softmax


def kl(student: Tensor, teacher: Tensor, *, temperature: float = 2.0) -> Tensor:
    """Return T² · KL(softmax(teacher / T) ‖ softmax(student / T)).

    T² keeps the size of the gradient when T changes. KL differs from the cross-entropy that many papers write by
    the teacher's entropy, which has no gradient; so it is 0 where both agree.

    Parameters
    ----------
    student, teacher : Tensor
        (N, K) logits; no gradient reaches the teacher.
    temperature : float
        T: above 1 it shows more of how the teacher ranks the wrong classes.

    Returns
    -------
    Tensor
        (N,).

    Source: Hinton, Vinyals and Dean 2015, section 2.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[1.0, 2.0], [0.0, 5.0]])
    >>> kl(logits, logits).tolist()
    [0.0, 0.0]
    """
    wanted = log_softmax(teacher.detach() / temperature, 1)
    given = log_softmax(student / temperature, 1)
    return kl_div(given, wanted, reduction="none", log_target=True).sum(1) * temperature**2


def bce(student: Tensor, teacher: Tensor) -> Tensor:
    """Return Σ over classes of the cross-entropy between sigmoids: each class is a question of its own.

    Parameters
    ----------
    student, teacher : Tensor
        (N, K) logits; no gradient reaches the teacher.

    Returns
    -------
    Tensor
        (N,).

    Source: Rebuffi et al. 2017 (iCaRL), algorithm 3.

    Examples
    --------
    >>> import torch
    >>> round(float(bce(torch.zeros(1, 2), torch.zeros(1, 2))), 4)  # 2 · ln 2
    1.3863
    """
    return binary_cross_entropy_with_logits(student, teacher.detach().sigmoid(), reduction="none").sum(1)


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over classes of the squared difference of logits.

    Parameters
    ----------
    student, teacher : Tensor
        (N, K) logits; no gradient reaches the teacher.

    Returns
    -------
    Tensor
        (N,).

    Source: Buzzega et al. 2020 (dark experience replay), eq. 4.

    Examples
    --------
    >>> import torch
    >>> mse(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]])).tolist()
    [2.0]
    """
    return (student - teacher.detach()).square().mean(1)
