from math import log

import pytest
import torch

from polymnia.losses.token_distillation import over_tokens


def test_two_classes_by_hand():
    """T² · KL of (1/2, 1/2) against (4/5, 1/5) is T² · (ln 5/8 + ln 5/2) / 2 at the logits' own temperature."""
    teacher, student = torch.zeros(1, 2), 5.0 * torch.tensor([[log(4.0), 0.0]])
    wanted = 25 * 0.5 * (log(0.5 / 0.8) + log(0.5 / 0.2))
    assert float(over_tokens(student, teacher, temperature=5.0)) == pytest.approx(wanted, rel=1e-6)


def test_a_student_like_its_teacher_loses_nothing():
    logits = torch.randn(7, 11)
    assert float(over_tokens(logits, logits)) == 0.0


def test_the_gradient_of_small_logits_does_not_depend_on_the_temperature():
    def gradient(temperature: float) -> torch.Tensor:
        student = (0.01 * torch.randn(3, 5, generator=torch.Generator().manual_seed(0))).requires_grad_()
        teacher = 0.01 * torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
        over_tokens(student, teacher, temperature=temperature).backward()
        return student.grad

    torch.testing.assert_close(gradient(2.0), gradient(20.0), rtol=0.02, atol=1e-5)


def test_only_what_counts_is_in_the_mean():
    student, teacher = torch.randn(4, 5), torch.randn(4, 5)
    counts = torch.tensor([True, False, True, False])
    assert float(over_tokens(student, teacher, counts)) == float(over_tokens(student[counts], teacher[counts]))


def test_nothing_that_counts_is_0_and_can_be_trained_on():
    student = torch.randn(2, 3, requires_grad=True)
    lost = over_tokens(student, torch.randn(2, 3), torch.tensor([False, False]))
    lost.backward()
    assert float(lost.detach()) == 0.0 and not student.grad.any()


def test_no_gradient_reaches_the_teacher():
    student, teacher = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    over_tokens(student, teacher).backward()
    assert student.grad.any() and teacher.grad is None
