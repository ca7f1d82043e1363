import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.methods.o_lora import OLoRA
from polymnia.models.language_model import LanguageModel


@pytest.fixture
def make(tiny_lm):
    def made(strength=0.5, form="absolute", delta="stacked"):
        host = {"name": "checkpoint", "path": str(tiny_lm)}
        model = LanguageModel(LanguageModel.Settings(host=host, delta=delta))
        method = OLoRA(model, OLoRA.Settings(strength=strength, form=form))
        for index in range(2):
            model.grow(Outline(index=index, name=str(index), modalities=("image",), widths={"image": 3}))
        return method

    return made


@pytest.mark.parametrize("form", ["absolute", "squares"])
def test_the_penalty_is_the_sum_over_all_places(make, form):
    method = make(form=form)
    places = [delta.low_ranks for delta in method.model.deltas.values()]
    assert len(places) == 4  # q and v of two layers
    products = torch.stack([new.down @ old.down.T for old, new in places])
    wanted = products.abs().sum() if form == "absolute" else products.square().sum()
    torch.testing.assert_close(method.overlap(), wanted)


def test_steps_on_the_penalty_make_subspaces_orthogonal(make):
    method = make(form="squares")
    optimiser = torch.optim.SGD(method.model.trainable().values(), lr=0.1)
    before = float(method.overlap().detach())
    for _ in range(200):
        optimiser.zero_grad()
        method.overlap().backward()
        optimiser.step()
    assert float(method.overlap().detach()) < 0.01 * before


def test_a_delta_without_a_map_for_each_stage_is_refused(make):
    with pytest.raises(
        SettingsError, match=r"model.delta is 'lora', which has no map for each stage. Take model.delta=st"
    ):
        make(delta="lora")
    with pytest.raises(SettingsError, match=r"model.delta is 'none'"):
        make(delta=None)
    make(strength=0.0, delta="lora")
