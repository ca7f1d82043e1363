import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.losses.distillation import kl
from polymnia.methods.lwf import LwF
from polymnia.models.classifier import Classifier


def taught(tiny_model, tiny_batch, tiny_stage, **settings):
    """Return a method whose model has moved on and grown by a class since its teacher was kept."""
    method = LwF(tiny_model(2), LwF.Settings(**settings))
    method.after_stage(tiny_stage(tiny_batch(0, 1)))
    method.model.grow(Outline(index=1, name="1", modalities=("x",), classes=(2,), widths={"x": 3}))
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(0.2 * torch.ones_like(p).cumsum(0))
    return method


def test_nothing_is_added_in_the_first_stage(tiny_model, tiny_batch):
    assert set(LwF(tiny_model()).loss(tiny_batch(0, 1))) == {"task"}


def test_equations_2_and_3_over_the_old_classes(tiny_model, tiny_batch, tiny_stage):
    method, batch = taught(tiny_model, tiny_batch, tiny_stage, strength=3.0, temperature=2.0), tiny_batch(2, 2, 2)
    terms = method.loss(batch)
    student, teacher = method.model(batch).logits[:, :2], method.teacher(batch).logits
    assert teacher.shape == (3, 2)
    torch.testing.assert_close(terms["lwf"], 3.0 * kl(student, teacher, temperature=2.0).mean())
    torch.testing.assert_close(terms["task"], method.task_loss(method.model(batch)))
    terms["lwf"].backward()
    assert not method.model.head.weight.grad[2].any()  # a new class is not the teacher's business


def test_a_student_that_has_not_moved_loses_nothing(tiny_model, tiny_batch, tiny_stage):
    method = LwF(tiny_model(2))
    method.after_stage(tiny_stage(tiny_batch(0, 1)))
    assert abs(float(method.loss(tiny_batch(0, 1))["lwf"].detach())) < 1e-6


def test_the_teacher_stays_and_is_replaced_after_each_stage(tiny_model, tiny_batch, tiny_stage):
    method, batch = taught(tiny_model, tiny_batch, tiny_stage), tiny_batch(2, 2)
    before = method.teacher.predict(batch).logits
    sum(method.loss(batch).values()).backward()
    assert all(p.grad is None for p in method.teacher.parameters())
    assert torch.equal(method.teacher.predict(batch).logits, before)
    method.after_stage(tiny_stage(batch, 1))
    assert torch.equal(method.teacher.predict(batch).logits, method.model.predict(batch).logits)
    assert method.memory_bytes() == sum(p.numel() * 4 for p in method.model.parameters())


def test_rows_that_the_teacher_cannot_see_are_not_distilled():
    model = Classifier(Classifier.Settings(width=4))
    model.grow(Outline(index=0, name="0", modalities=("a",), classes=(0, 1), widths={"a": 3}))
    method = LwF(model)
    method.teacher = model.frozen_copy()
    model.grow(Outline(index=1, name="1", modalities=("a", "b"), classes=(2,), widths={"a": 3, "b": 2}))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    has = torch.tensor([True, False, True, False])
    values = {"a": torch.randn(4, 1, 3) * has[:, None, None], "b": torch.randn(4, 1, 2)}
    batch = Batch(values, torch.full((4,), 2), {}, {"a": has})
    seen = batch.take(has)
    student, teacher = model(seen).logits[:, :2], method.teacher(seen.only(["a"])).logits
    torch.testing.assert_close(method.loss(batch)["lwf"], kl(student, teacher).sum() / 4)
    alone = method.loss(batch.only(["b"]))["lwf"]
    assert float(alone.detach()) == 0.0
    alone.backward()


def test_distillation_holds_the_old_logits(digits, learned):
    """In one shared head it does not stop new classes from winning, but old logits drift less."""
    drift = {}
    for name, settings in (("finetune", {}), ("lwf", {"strength": 10.0})):
        early, _ = learned(name, digits, stages=1, **settings)
        late, _ = learned(name, digits, stages=2, **settings)
        batch = next(iter(early.batches(digits[0].test)))
        old, new = early.predict(batch).logits.softmax(1), late.predict(batch).logits[:, :2].softmax(1)
        drift[name] = float((old - new).abs().mean())
    assert drift["lwf"] < 0.5 * drift["finetune"]
