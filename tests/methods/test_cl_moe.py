import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.methods.cl_moe import CLMoE
from polymnia.randomness import Randomness

DELTA = {"name": "mixture", "experts": 4, "rank": 4}


def test_experts_move_back_by_whose_they_are(painter, unified_stage, moved):
    method = CLMoE(painter(delta=DELTA), CLMoE.Settings(top=2, samples=3), randomness=Randomness(0))
    stages = [unified_stage(method.model, index, "answering") for index in range(2)]
    method.model.grow(stages[0])
    method.before_stage(stages[0])
    moved(method.model, 0.3)
    first = {name: p.clone() for name, p in method.model.named_parameters()}
    method.after_stage(stages[0])
    assert all(torch.equal(p, first[name]) for name, p in method.model.named_parameters())
    assert all(int(used.sum()) == 2 for used in method.used.values())

    method.before_stage(stages[1])
    place = sorted(method.places)[0]
    method.used[place] = torch.tensor([True, False, False, False])
    moved(method.model, 0.4)
    router = method.places[place].router
    with torch.no_grad():  # whatever comes, the first two experts are the stage's
        router.weight.zero_()
        router.register_forward_hook(lambda layer, given, found: found + torch.tensor([2.0, 1.0, 0.0, 0.0]))
    now = {name: p.clone() for name, p in method.model.named_parameters()}
    assert method.weights(stages[1])[place].tolist() == pytest.approx(
        torch.tensor([2.0, 1.0, 0.0, 0.0]).softmax(0).tolist()
    )
    method.after_stage(stages[1])
    for number, share in enumerate((0.5, 0.3, 0.7, 0.7)):
        name = f"deltas.{place}.experts.{number}.down"
        wanted = share * first[name] + (1 - share) * now[name]
        torch.testing.assert_close(dict(method.model.named_parameters())[name], wanted)
    assert method.used[place].tolist() == [True, True, False, False] and not method.before


def test_without_experts_it_is_refused(painter):
    with pytest.raises(SettingsError, match=r"model\.delta is 'lora'\. Take model\.delta=mixture"):
        CLMoE(painter(delta="lora"))
    with pytest.raises(SettingsError, match=r"method\.own: 2 is given"):
        CLMoE.Settings(own=2)
