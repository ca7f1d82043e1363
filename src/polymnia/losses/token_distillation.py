"""Distillation over the tokens that count: what is padding or a prompt has no part in a mean."""

from torch import Tensor

from polymnia.losses.distillation import kl


def over_tokens(student: Tensor, teacher: Tensor, counts: Tensor | None = None, *, temperature: float = 5.0) -> Tensor:
    """Return the mean over tokens of T² · KL(softmax(teacher / T) ‖ softmax(student / T)), 0 when none counts.

    Parameters
    ----------
    student, teacher : Tensor
        (N, V) next-token logits of the same N tokens; no gradient reaches the teacher.
    counts : Tensor, optional
        (N,) bool: which tokens count; all, where it is not given.
    temperature : float
        T.

    Source: Pian et al. 2024 (MoInCL), its two distillation losses, without the padding that the released code counts.

    Examples
    --------
    >>> import torch
    >>> student, teacher = torch.tensor([[0.0, 0.0], [9.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 9.0]])
    >>> float(over_tokens(student, teacher, torch.tensor([True, False])))
    0.0
    """
    lost = kl(student, teacher, temperature=temperature)
    if counts is not None:
        lost = lost[counts]
    return lost.mean() if len(lost) else student.sum() * 0.0
