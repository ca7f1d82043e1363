import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.methods.podnet import PODNet
from polymnia.methods.taught import share_scale
from polymnia.models.classifier import Classifier


def taught() -> PODNet:
    """Return a method whose teacher knows modality "a" and two classes, and whose model knows "b" too."""
    model = Classifier(Classifier.Settings(width=4))
    model.grow(Outline(index=0, name="0", modalities=("a",), classes=(0, 1), widths={"a": 3}))
    method = PODNet(model, PODNet.Settings(memory=0))
    method.teacher = model.frozen_copy()
    model.grow(Outline(index=1, name="1", modalities=("a", "b"), classes=(2,), widths={"a": 3, "b": 2}))
    return method


def test_the_teacher_sees_what_it_knows():
    method, has = taught(), torch.tensor([True, False, True])
    batch = Batch({"a": torch.randn(3, 1, 3), "b": torch.randn(3, 1, 2)}, torch.full((3,), 2), {}, {"a": has})
    lesson = method.lesson(batch)
    assert torch.equal(lesson.sees, has)
    assert lesson.batch.modalities == ["a"]
    assert lesson.output.logits.shape == (3, 2)
    assert not lesson.output.logits.requires_grad
    assert not lesson.output.logits.is_inference()


def test_a_batch_of_modalities_that_it_does_not_know_is_no_lesson():
    method = taught()
    batch = Batch({"b": torch.randn(2, 1, 2)}, torch.full((2,), 2))
    assert method.lesson(batch) is None
    assert method.loss(batch).keys() == {"task"}


def test_no_teacher_is_kept_that_nothing_asks(tiny_model, tiny_batch, tiny_stage):
    for settings, kept in (({}, True), ({"spatial": 0.0, "flat": 0.0}, False)):
        method = PODNet(tiny_model(), PODNet.Settings(**settings))
        method.after_stage(tiny_stage(tiny_batch(0, 1)))
        assert (method.teacher is not None) == kept
        assert len(method.memory) == 2


def test_distillation_scales_with_the_share_of_classes():
    method = taught()
    output = method.model(Batch({"a": torch.randn(1, 1, 3)}, torch.tensor([2])))
    assert share_scale(output, method.model) == 3**0.5  # three classes so far, one in this stage
