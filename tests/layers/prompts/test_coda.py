import pytest
import torch
from torch.nn.functional import cosine_similarity

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.prompts.coda import CodaPrompts, attended, likeness


def made(stages=1, blocks=1, width=8, **settings):
    stage = Outline(index=0, name="0", modalities=("x",), classes=(0,), widths={"x": width})
    prompts = CodaPrompts(CodaPrompts.Settings(**{"components": 3, "length": 2, **settings}))
    for _ in range(stages):
        prompts.grow(stage, ("x",), blocks=blocks)
    return prompts


def test_a_prompt_is_the_weighted_sum_of_the_components():
    query = torch.tensor([[3.0, 4.0]])
    keys, attentions = torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, 7.0]])
    prompts = torch.tensor([[[1.0, 0.0]], [[0.0, 10.0]]])
    weights = [3 / 5, 0.5**0.5]  # cos((3, 4), (1, 0)) and cos((0, 28), (1, 1))
    wanted = torch.tensor([[[weights[0], 10 * weights[1]]]])
    torch.testing.assert_close(attended(query, keys, attentions, prompts), wanted)


def test_attention_is_the_cosine_of_the_attended_query_and_the_key():
    query, (keys, attentions, prompts) = torch.randn(4, 8), made().held["x"][0][0].parts()
    weights = cosine_similarity(query[:, None] * attentions, keys[None].expand(4, -1, -1), dim=2)
    wanted = (weights[:, :, None, None] * prompts).sum(1)
    torch.testing.assert_close(attended(query, keys, attentions, prompts), wanted)


def test_a_query_of_zeros_gets_zeros_and_no_gradient_that_is_no_number():
    prompts = made()
    placed, losses = prompts({"x": torch.zeros(2, 8)})
    assert bool((placed[0]["x"] == 0).all())
    (placed[0]["x"].sum() + losses["orthogonality"]).backward()
    assert all(bool(p.grad.isfinite().all()) for p in prompts.parameters())


def test_orthonormal_components_cost_nothing_and_equal_ones_do():
    prompts = made(orthogonality=0.5)
    query = {"x": torch.randn(2, 8)}
    assert float(prompts(query)[1]["orthogonality"].detach()) == pytest.approx(0.0, abs=1e-10)
    with torch.no_grad():
        keys = prompts.held["x"][0][0].keys
        keys.copy_(keys[:1].expand(3, -1).clone())  # X Xᵀ is all ones: six of nine entries are off by 1
    assert float(prompts(query)[1]["orthogonality"].detach()) == pytest.approx(0.5 * 6 / 9)


def test_old_components_count_in_the_loss_and_stay():
    prompts = made(2)
    first, second = prompts.held["x"][0]
    assert [all(p.requires_grad for p in part.parameters()) for part in (first, second)] == [False, True]
    with torch.no_grad():
        for old, new in zip(first.parts(), second.parts(), strict=True):
            new.copy_(old)
    query = {"x": torch.randn(2, 8)}
    _, losses = prompts(query)
    assert float(losses["orthogonality"].detach()) == pytest.approx(0.1 * 3 * 6 / 36, rel=1e-4)
    losses["orthogonality"].backward()
    assert first.keys.grad is None
    assert second.keys.grad is not None


def test_new_components_are_added_up_with_the_old_ones():
    prompts = made(2)
    query = {"x": torch.randn(2, 8)}
    old, new = (attended(query["x"], *part.parts()) for part in prompts.held["x"][0])
    torch.testing.assert_close(prompts(query)[0][0]["x"], old + new)


def test_more_components_than_dimensions_are_taken():
    prompts = made(width=2, components=5)
    assert bool(prompts({"x": torch.randn(2, 2)})[0][0]["x"].isfinite().all())


def test_how_many_blocks_have_prompts():
    assert [len(block) for block in made(blocks=7)({"x": torch.randn(2, 8)})[0]] == [1] * 5 + [0] * 2
    assert [len(block) for block in made(blocks=3)({"x": torch.randn(2, 8)})[0]] == [1] * 3


def test_likeness_of_prompts_is_that_of_their_flattened_tokens():
    prompts = torch.randn(3, 2, 4)
    torch.testing.assert_close(likeness(prompts), likeness(prompts.reshape(3, 8)))


@pytest.mark.parametrize("name", ["components", "length", "prompt_blocks"])
def test_settings_out_of_range_are_refused(name):
    with pytest.raises(SettingsError, match=f"prompts.{name}: 0"):
        CodaPrompts.Settings(**{name: 0})
