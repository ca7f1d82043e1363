"""The probe of intra-modal forgetting: by hand, without the stages of drawing."""

from types import SimpleNamespace

import pytest

from polymnia.data.stage import Outline
from polymnia.evaluation.probes import intra_modal
from polymnia.evaluation.probes.intra_modal import IntraModal
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier

TASKS = ("answering", "answering", "generation", "answering")
BY_HAND = [[0.5], [0.75, 0.25], [0.5, 0.25, 0.875], [0.125, 0.5, 0.25, 1.0]]


@pytest.fixture
def stages():
    return tuple(
        SimpleNamespace(**vars(Outline(index=i, name=str(i), task=task, modalities=("image",))), test=i)
        for i, task in enumerate(TASKS)
    )


def test_it_is_over_the_stages_of_texts_alone(stages, monkeypatch):
    probe, stream = IntraModal(), SimpleNamespace(stages=stages)
    method = SimpleNamespace(model=SimpleNamespace(provides={"text"}))
    found = []
    for stage in stages:
        row = BY_HAND[stage.index]
        given = SimpleNamespace(score=lambda method, test, row=row: row[test])
        monkeypatch.setattr(intra_modal, "scorer", lambda task, given=given: given)
        found.append(probe.measure(method, stream, stage))
    assert found[0] == {
        "accuracy": 0.5, "learned": 0.5, "forgetting": None, "forgetting from best": None, "backward transfer": None,
    }  # fmt: skip
    assert found[2]["forgetting"] == 0  # 0.5 and 0.25 were learned, and are: the newest stage is one of drawing
    assert found[2]["forgetting from best"] == 0.125 and found[2]["accuracy"] == 0.375
    assert found[3] == {
        "accuracy": (0.125 + 0.5 + 1) / 3,
        "learned": (0.5 + 0.25 + 1) / 3,
        "forgetting": (0.375 - 0.25) / 2,
        "forgetting from best": (0.625 - 0.25) / 2,
        "backward transfer": -(0.375 - 0.25) / 2,
    }


def test_a_run_and_its_resumption_have_the_same(told, teller):
    whole, method = IntraModal(), teller(told.stages)
    for stage in told.stages[:2]:
        found = whole.measure(method, told, stage)
    first, again = IntraModal(), IntraModal()
    first.measure(method, told, told[0])
    again.load_state_dict(first.state_dict())
    assert again.measure(method, told, told[1]) == found and found["forgetting"] == 0


def test_a_family_of_classes_has_none():
    model = Classifier()
    model.grow(Outline(index=0, name="one", modalities=("x",), classes=(0, 1), widths={"x": 2}))
    assert IntraModal().measure(Finetune(model), None, None) == {}
