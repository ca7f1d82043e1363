import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.prompts.dualprompt import DualPrompts

STAGE = Outline(index=0, name="0", modalities=("x",), classes=(0,), widths={"x": 2})


def made(stages=2, blocks=5, **settings):
    prompts = DualPrompts(DualPrompts.Settings(**{"general": 1, "expert": 2, **settings}))
    for _ in range(stages):
        prompts.grow(STAGE, ("x",), blocks=blocks)
    return prompts


@pytest.fixture
def hand_made():
    """Two stages, keys at 0° and 90°; general prompts are 0, experts 1 and 2."""
    prompts = made()
    with torch.no_grad():
        for expert, key, value in zip(prompts.experts["x"], ([3.0, 0.0], [0.0, 0.5]), (1.0, 2.0), strict=True):
            expert.key.copy_(torch.tensor(key))
            for tokens in expert.prompts:
                tokens.fill_(value)
        for tokens in prompts.general["x"]:
            tokens.fill_(0.0)
    return prompts


QUERY = torch.tensor([[0.8, 0.6], [0.6, 0.8]])


def first_entries(placed):
    return [block["x"][:, :, 0].tolist() if block else None for block in placed]


def test_in_evaluation_the_nearest_key_chooses_the_expert(hand_made):
    placed, losses = hand_made.eval()({"x": QUERY})
    general, chosen = [[0.0], [0.0]], [[1.0, 1.0], [2.0, 2.0]]
    assert first_entries(placed) == [general, general, chosen, chosen, chosen]
    assert float(losses["match"].detach()) == pytest.approx(0.2)  # 1 − 0.8 both times


def test_while_training_it_is_the_current_stages_own(hand_made):
    placed, losses = hand_made.train()({"x": QUERY})
    assert first_entries(placed)[2] == [[2.0, 2.0], [2.0, 2.0]]
    assert float(losses["match"].detach()) == pytest.approx((0.4 + 0.2) / 2)
    losses["match"].backward()
    old, new = hand_made.experts["x"]
    assert old.key.grad is None
    assert bool(new.key.grad.abs().sum() > 0)


@pytest.mark.parametrize(
    ("blocks", "settings", "general", "experts"),
    [
        (12, {}, [0, 1], [2, 3, 4]),
        (4, {}, [0, 1], [2, 3]),
        (2, {}, [0, 1], [1]),
        (1, {}, [0], [0]),
        (4, {"general_blocks": 0, "expert_blocks": 1}, [], [0]),
    ],
)
def test_where_prompts_stand(blocks, settings, general, experts):
    placed, _ = made(1, blocks, **settings)({"x": QUERY})
    lengths = [block["x"].shape[1] if block else 0 for block in placed]
    assert lengths == [1 * (at in general) + 2 * (at in experts) for at in range(blocks)]


def test_earlier_experts_are_frozen_and_general_prompts_never():
    prompts = made(3)
    free = [all(p.requires_grad for p in expert.parameters()) for expert in prompts.experts["x"]]
    assert free == [False, False, True]
    assert all(p.requires_grad for p in prompts.general.parameters())


@pytest.mark.parametrize("name", ["general", "expert", "expert_blocks"])
def test_settings_out_of_range_are_refused(name):
    with pytest.raises(SettingsError, match=f"prompts.{name}: 0"):
        DualPrompts.Settings(**{name: 0})
    with pytest.raises(SettingsError, match="general_blocks: -1"):
        DualPrompts.Settings(general_blocks=-1)
