"""Distillation of drawing: where the next code of a picture is foretold, over codes alone."""

from torch import Tensor

from polymnia.losses.distillation import kl


def over_codes(
    student: Tensor, teacher: Tensor, *, temperature: float = 2.0, top: int | None = None, twice: bool = False
) -> Tensor:
    """Return the mean over tokens of T² · KL(softmax(teacher / T) ‖ softmax(student / T)), a scalar; 0 for no token.

    Parameters
    ----------
    student, teacher : Tensor
        (N, K) logits of the codes, at the tokens that foretell one; no gradient reaches the teacher.
    temperature : float
        T.
    top : int, optional
        Over so many of the teacher's likeliest codes alone, both sides normalised among them; none: over all.
    twice : bool
        Divide logits by T twice and multiply by T² once, as the released code does: it is T² as temperature then.

    Source: Wei et al. 2025 (MoDE), its distillation loss. Mean over tokens and not their sum, and codes alone, are
    inferred: so the length of a picture, padding and words have no weight in it.

    Examples
    --------
    >>> import torch
    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2 * torch.log(torch.tensor(3.0))]])
    >>> round(float(over_codes(student, teacher)), 4)  # 4 · (¼ · ln ½ + ¾ · ln 1½)
    0.5232
    """
    if top is not None and top < student.shape[-1]:
        teacher, chosen = teacher.topk(top, -1)
        student = student.gather(-1, chosen)
    if not len(student):
        return student.sum() * 0.0
    if twice:
        return kl(student, teacher, temperature=temperature**2).mean() / temperature**2
    return kl(student, teacher, temperature=temperature).mean()
