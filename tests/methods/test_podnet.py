import pytest
import torch

from polymnia.losses.pooled import flat, pooled
from polymnia.methods.podnet import PODNet


@pytest.fixture
def second_stage(adapted, token_batch, token_stage, two_classes_more, moved):
    """Return a function that makes a method in its second stage, whose model has moved on from its teacher."""

    def make(by: float = 0.1, **settings) -> PODNet:
        method = PODNet(adapted(adapter="bottleneck"), PODNet.Settings(memory=0, **settings))
        moved(method.model)  # an adapter is zero at start
        method.after_stage(token_stage(token_batch(0, 1)))
        method.model.grow(two_classes_more(1))
        if by:
            moved(method.model, by)
        method.model.eval()
        return method

    return make


def test_the_two_distillations_by_their_equations(second_stage, token_batch):
    method, batch = second_stage(spatial=2.0, flat=0.5), token_batch(2, 3, 2)
    terms, student, teacher = method.loss(batch), method.model(batch), method.teacher(batch)
    parts = [pooled(student.blocks[at][m], teacher.blocks[at][m]).mean() for at in (0, 1) for m in ("a", "b")]
    scale = 2**0.5  # four classes so far, two in this stage
    assert torch.stack(parts).min() > 0
    torch.testing.assert_close(terms["spatial"], 2.0 * scale * torch.stack(parts).mean())
    joint = [output.representations["joint"] for output in (student, teacher)]
    torch.testing.assert_close(terms["flat"], 0.5 * scale * flat(*joint).mean())
    terms["spatial"].backward()
    assert any(p.grad is not None and p.grad.any() for adapter in method.model.adapters for p in adapter.parameters())


def test_nothing_is_lost_by_a_model_that_has_not_moved(second_stage, token_batch):
    terms = second_stage(by=0.0).loss(token_batch(2, 3))
    assert abs(float(terms["spatial"].detach())) < 1e-6
    assert abs(float(terms["flat"].detach())) < 1e-6


def test_samples_without_a_modality_do_not_count_for_it(second_stage, token_batch):
    method, batch = second_stage(), token_batch(2, 3, 2, lacking=(1,))
    student, teacher, has = method.model(batch), method.teacher(batch), batch.has("b")
    parts = [pooled(student.blocks[at]["a"], teacher.blocks[at]["a"]).mean() for at in (0, 1)]
    parts += [pooled(student.blocks[at]["b"][has], teacher.blocks[at]["b"][has]).mean() for at in (0, 1)]
    torch.testing.assert_close(method.loss(batch)["spatial"], 3.0 * 2**0.5 * torch.stack(parts).mean())


def test_a_family_without_blocks_has_its_representations_in_their_place(tiny_model, tiny_batch, tiny_stage, moved):
    method, batch = PODNet(tiny_model(), PODNet.Settings(memory=0)), tiny_batch(0, 1, 0)
    method.after_stage(tiny_stage(batch))
    moved(method.model)
    terms, student, teacher = method.loss(batch), method.model(batch), method.teacher(batch)
    squares = [output.representations["x"].square() for output in (student, teacher)]
    torch.testing.assert_close(terms["spatial"], 3.0 * flat(*squares).mean())  # one token: nothing but its width


def test_it_keeps_the_first_stage_where_fine_tuning_loses_it(digits, learned, fine_tuned):
    _, kept = learned("podnet", digits, memory=100)
    assert kept[0] > 0.6 + fine_tuned[0]
    assert kept[-1] > 0.7
