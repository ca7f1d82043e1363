from math import exp, log

import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.losses.code_distillation import over_codes
from polymnia.methods.drawing_distillation import DrawingDistillation
from polymnia.methods.mode import MoDE
from polymnia.randomness import Randomness


@pytest.fixture
def make(painter, unified_stage, distilled):
    """Return a function that makes the method over a grown model, with nine pictures."""

    def made(kind=DrawingDistillation, *, task="answering", delta="lora", model=(), **settings):
        held = painter(delta=delta, **dict(model))
        held.grow(Outline(index=0, name="0", task=task, modalities=("image",), widths={"image": 2}))
        return distilled(kind(held, kind.Settings(**settings), randomness=Randomness(3)))

    return made


def batch_of(method, unified_stage, rows=5):
    return unified_stage(method.model, 0, "answering").train.batch(torch.arange(rows))


# the loss -----------------------------------------------------------------------------------------------------


def test_two_tokens_by_hand():
    student = torch.tensor([[0.0, 0.0], [1.0, 3.0]])
    teacher = torch.tensor([[0.0, 2 * log(3)], [1.0, 3.0]])  # at temperature 2: ¼ and ¾; and the same
    wanted = 4 * (0.25 * log(0.25 / 0.5) + 0.75 * log(0.75 / 0.5)) / 2
    assert float(over_codes(student, teacher, temperature=2.0)) == pytest.approx(wanted, rel=1e-5)
    shares = [1 / (1 + exp(log(3) / 2)), 1 / (1 + exp(-log(3) / 2))]  # at 4, and the factor is 4 all the same
    twice = 4 * sum(p * log(p / 0.5) for p in shares) / 2
    assert float(over_codes(student, teacher, temperature=2.0, twice=True)) == pytest.approx(twice, rel=1e-5)


def test_the_likeliest_codes_alone_are_a_distribution_of_their_own():
    student, teacher = torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([[-9.0, 0.0, log(3)]])
    wanted = 0.25 * log(0.25 / 0.5) + 0.75 * log(0.75 / 0.5)
    assert float(over_codes(student, teacher, temperature=1.0, top=2)) == pytest.approx(wanted, rel=1e-5)
    assert torch.equal(over_codes(student, teacher, top=3), over_codes(student, teacher))


def test_the_gradient_keeps_its_size_when_the_temperature_changes():
    random = torch.Generator().manual_seed(0)
    teacher, given = (0.01 * torch.randn(6, 5, generator=random, dtype=torch.float64) for _ in range(2))
    gradients = []
    for temperature in (1.0, 2.0, 5.0):
        student = given.clone().requires_grad_()
        over_codes(student, teacher, temperature=temperature).backward()
        gradients.append(student.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.05, atol=1e-6)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=0.05, atol=1e-6)


def test_no_token_is_no_loss():
    student = torch.zeros(0, 4, requires_grad=True)
    assert float(over_codes(student, torch.zeros(0, 4)).detach()) == 0


# the term -----------------------------------------------------------------------------------------------------


def test_a_student_like_its_teacher_loses_nothing_and_one_that_moved_does(make, unified_stage, moved):
    method = make()
    batch = batch_of(method, unified_stage)
    assert float(method.added(batch)["drawing"].detach()) == pytest.approx(0, abs=1e-6)
    moved(method.model, 0.5)
    assert float(method.added(batch)["drawing"].detach()) > 1e-3


def test_it_is_the_mean_over_all_codes_of_the_pictures(make, moved):
    method = make(temperature=3.0)
    moved(method.model, 0.5)
    pictures, v = method.pictures.batch(torch.arange(9)), method.model.unified.vocabulary
    student, teacher = (m.predict(pictures).logits[:, v:] for m in (method.model, method.bare))
    assert len(student) == 9 * method.model.unified.length
    old, now = (teacher / 3).log_softmax(1), (student / 3).log_softmax(1)
    wanted = 9 * (old.exp() * (old - now)).sum(1).mean()
    assert float(method.distance(pictures).detach()) == pytest.approx(float(wanted), rel=1e-4)


def test_it_weighs_what_is_set_and_is_beside_the_task(make, unified_stage, moved):
    method = make(distil=0.7, number=9)
    moved(method.model, 0.5)
    batch = batch_of(method, unified_stage)
    terms = method.loss(batch)
    assert set(terms) == {"task", "drawing"}
    torch.testing.assert_close(terms["task"], method.task_loss(method.model(batch)))
    torch.testing.assert_close(terms["drawing"], 0.7 * method.distance(method.pictures.batch(torch.arange(9))))


def test_text_experts_get_no_gradient_from_it(make, unified_stage, moved):
    method = make(MoDE, delta="decoupled")
    moved(method.model, 0.3)
    method.added(batch_of(method, unified_stage))["drawing"].backward()
    for delta in method.model.deltas.values():
        for name, p in delta.named_parameters():
            assert (p.grad is not None and bool(p.grad.any())) == name.startswith("picture."), name
    assert all(p.grad is None for p in method.model.loaded.network.parameters())


# the teacher --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("teacher", "kept"), [("host", ()), ("before", (0, 1)), ("learned", (1,))])
def test_which_model_teaches(make, unified_stage, moved, teacher, kept):
    """A stage of answers and one of drawing; which of them leaves a new teacher."""
    method = make(teacher=teacher)
    held = None
    for index, task in enumerate(("answering", "generation")):
        stage = unified_stage(method.model, index, task)
        if index:
            method.model.grow(stage)
        moved(method.model, 0.3)
        method.after_stage(stage)
        assert (method.teacher is not held) == (index in kept)
        held = method.teacher
    pictures = method.pictures.batch(torch.arange(4))
    asked = method.bare if held is None else held
    same = torch.equal(asked.predict(pictures).logits, method.model.predict(pictures).logits)
    assert same == (1 in kept)


def test_while_drawing_is_taught_nothing_is_added(make, unified_stage, moved):
    drawing = make(task="generation")
    moved(drawing.model, 0.3)
    assert drawing.added(batch_of(drawing, unified_stage)) == {}
    assert "drawing" in make(task="generation", always=True).added(batch_of(drawing, unified_stage))


def test_the_release_passes_over_batches_without_a_picture(make, unified_stage):
    for skip in (True, False):
        method = make(official_skip=skip)
        batch = batch_of(method, unified_stage)
        assert "drawing" in method.added(batch)
        batch.present["image"] = torch.zeros(len(batch), dtype=torch.bool)
        assert ("drawing" in method.added(batch)) is not skip
        batch.present["image"][2] = True
        assert "drawing" in method.added(batch)


# the pictures -------------------------------------------------------------------------------------------------


def test_pictures_come_in_rounds_of_new_orders(make):
    rounds = make().rounds
    rows = [rounds.next(4, of=9).tolist() for _ in range(9)]
    flat = [row for part in rows for row in part]
    orders = [flat[at : at + 9] for at in range(0, 36, 9)]
    assert all(sorted(order) == list(range(9)) for order in orders) and len(set(map(tuple, orders))) == 4
    assert len(rounds.next(30, of=9)) == 30


def test_rounds_go_on_where_they_were(make):
    one, other = make().rounds, make().rounds
    for _ in range(5):
        one.next(4, of=9)
    other.load_state_dict(one.state_dict())
    assert [one.next(4, of=9).tolist() for _ in range(3)] == [other.next(4, of=9).tolist() for _ in range(3)]


def test_a_host_that_offers_no_pictures_needs_a_source(make):
    method = make()
    method._pictures = None
    with pytest.raises(SettingsError, match=r"method\.pictures is missing: host 'words' offers none"):
        _ = method.pictures


def test_a_family_that_does_not_draw_is_refused(speaker):
    with pytest.raises(SettingsError, match="'mode' needs drawing from its model, and 'language-model' has not"):
        MoDE(speaker())


def test_settings_that_cannot_be_are_told():
    with pytest.raises(SettingsError, match=r"method\.temperature: 0 is given"):
        DrawingDistillation.Settings(temperature=0)
    with pytest.raises(SettingsError, match=r"method\.top: 0 is given"):
        DrawingDistillation.Settings(top=0)


def test_with_it_other_pictures_are_drawn_as_before_while_reading_is_learned(make, unified_stage):
    """How far drawing is from the host's, on pictures that taught nothing, after 40 steps of reading."""

    def gone(distil: float) -> tuple[float, float]:
        method = make(distil=distil, number=9)
        others = unified_stage(method.model, 7, "generation").train.batch(torch.arange(9))
        batch = batch_of(method, unified_stage, rows=9)
        optimiser = torch.optim.Adam(method.model.trainable().values(), lr=0.05)
        for _ in range(40):
            optimiser.zero_grad()
            terms = method.loss(batch)
            torch.stack(list(terms.values())).sum().backward()
            optimiser.step()
        return float(terms["task"].detach()), float(method.distance(others).detach())

    (task, without), (also, held) = gone(0.0), gone(30.0)
    assert abs(task - also) < 0.12  # it learns about as much
    assert held < 0.2 * without
