import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.models.base import Output
from polymnia.models.classifier import Classifier
from polymnia.state import join, split

BATCH = Batch({"x": torch.linspace(-1, 1, 12).reshape(4, 1, 3)}, torch.tensor([0, 1, 0, 1]))


def outline(index, classes=(0, 1)):
    return Outline(index=index, name=str(index), modalities=("x",), classes=classes, widths={"x": 3})


def made(seed=0, **settings):
    model = Classifier(Classifier.Settings(width=4, **settings), seed=seed)
    model.grow(outline(0))
    return model


@pytest.mark.parametrize("training", [True, False])
def test_predict_is_in_evaluation_mode_and_leaves_the_mode(training):
    model = made(dropout=0.9).train(training)
    one, other = model.predict(BATCH).logits, model.predict(BATCH).logits
    assert torch.equal(one, other)
    assert not one.requires_grad
    assert all(m.training == training for m in model.modules())


def test_predict_leaves_the_mode_when_it_fails():
    model = made()
    with pytest.raises(Exception, match="knows"):
        model.predict(Batch({"y": torch.zeros(1, 1, 3)}, torch.tensor([0])))
    assert model.training


def test_growth_depends_on_the_seed_and_the_stage_and_draws_from_nothing_else():
    torch.manual_seed(5)
    position = torch.get_rng_state()
    one = made(seed=1)
    assert torch.equal(torch.get_rng_state(), position)
    torch.rand(100)
    other, third = made(seed=1), made(seed=2)
    assert torch.equal(one.head.weight, other.head.weight)
    assert not torch.equal(one.head.weight, third.head.weight)


def test_a_frozen_copy_is_apart_and_nothing_trains_it():
    model = made()
    teacher = model.frozen_copy()
    before = teacher.predict(BATCH).logits
    with torch.no_grad():
        model.head.weight.add_(1.0)
    assert torch.equal(teacher.predict(BATCH).logits, before)
    assert not teacher.training
    assert not teacher.trainable()
    assert len(model.trainable()) == len(list(model.parameters()))


def test_state_goes_through_disk_format_and_back_onto_a_smaller_model():
    model = made()
    model.grow(outline(1, (2, 3)))
    state = join(*split(model.state_tree()))
    late = made(seed=9)  # it has grown once already
    late.load_state_tree(state)
    assert torch.equal(late.predict(BATCH).logits, model.predict(BATCH).logits)
    assert len(late.grown) == 2


def test_taking_rows_of_an_output():
    output = Output(torch.eye(3), torch.arange(3), {"joint": torch.ones(3, 2)}, {"own": torch.tensor(1.0)})
    taken = output.take(torch.tensor([2, 0]))
    assert taken.logits.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert taken.targets.tolist() == [2, 0]
    assert taken.representations["joint"].shape == (2, 2)
