import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.methods.combined import Combined
from polymnia.methods.drawing_distillation import DrawingDistillation
from polymnia.methods.ewc import EWC
from polymnia.models.unified_model import UnifiedModel
from polymnia.randomness import Randomness
from polymnia.training.build import build_model

EWC_OF = {"name": "ewc", "strength": 100.0}


@pytest.fixture
def make(painter, distilled):
    def made(*of, **model):
        held = painter(**model)
        return distilled(Combined(held, Combined.Settings(of=of), randomness=Randomness(3)))

    return made


def test_losses_are_those_of_each(make, distilled, unified_stage, moved):
    method = make(EWC_OF, "drawing-distillation")
    stages = [unified_stage(method.model, index, "answering") for index in range(2)]
    method.model.grow(stages[0])
    method.before_stage(stages[0])
    method.after_stage(stages[0])
    method.model.grow(stages[1])
    method.before_stage(stages[1])
    moved(method.model, 0.3)
    alone = [
        EWC(method.model, EWC.Settings(strength=100.0), randomness=Randomness(3)),
        distilled(DrawingDistillation(method.model, randomness=Randomness(3))),
    ]
    for each, state in zip(alone, method.state_dict()["of"], strict=True):
        each.load_state_dict(state)
    batch = stages[1].train.batch(torch.arange(5))
    ewc, drawing, both = (each.loss(batch) for each in (*alone, method))
    assert set(ewc) == {"task", "ewc"} and set(drawing) == {"task", "drawing"}
    assert float(ewc["ewc"].detach()) > 0 and float(drawing["drawing"].detach()) > 0
    assert both.keys() == {"task", "ewc", "drawing"}
    for name, term in {**ewc, **drawing}.items():
        assert torch.equal(both[name], term), name


def test_only_what_adds_can_stand_behind_another(make):
    with pytest.raises(
        SettingsError, match=r"method\.of\[1\]: 'replay' does more than add .* drawing-distillation, ewc"
    ):
        make("ewc", "replay")
    with pytest.raises(SettingsError, match=r"method\.of\[1\]"):
        make("ewc", "lfw")
    with pytest.raises(SettingsError, match=r"method\.of: no method"):
        make()


def test_two_of_a_kind_keep_their_names_apart(make, unified_stage, moved):
    method = make("drawing-distillation", {"name": "drawing-distillation", "teacher": "host", "number": 3})
    stage = unified_stage(method.model, 0, "answering")
    method.model.grow(stage)
    moved(method.model, 0.3)
    assert set(method.loss(stage.train.batch(torch.arange(4)))) == {"task", "drawing", "drawing 1"}


def test_parts_of_a_model_are_wished_for_by_all_the_first_before_others():
    wished = Combined.parts_of({"name": "combined", "of": ["o-lora", {"name": "mode", "distil": 1.0}]})
    assert wished["delta"]["name"] == "stacked"
    wished = Combined.parts_of({"name": "combined", "of": ["finetune", "mode"]})
    assert wished["delta"]["name"] == "decoupled"
    model = build_model({"name": "unified-model", "host": "words", "delta": "mixture"}, seed=0, parts=wished)
    assert isinstance(model, UnifiedModel) and model.settings.delta["name"] == "mixture"


def test_all_are_where_the_trainer_puts_them(make):
    method = make({"name": "replay", "memory": 7}, "drawing-distillation")
    method.device, method.average = torch.device("meta"), list.clear
    assert {each.device for each in method.members} == {torch.device("meta")}
    assert all(each.average is list.clear and each.clock is method.clock for each in method.members)
    assert method.memory.capacity == 7 and not method.looks_back and method.passes is None
    assert make("joint", "drawing-distillation").looks_back
    with pytest.raises(AttributeError):
        _ = method.nothing_of_the_kind
