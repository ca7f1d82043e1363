import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polymnia.layers.fusion import FUSIONS

every_fusion = pytest.mark.parametrize("name", FUSIONS.names())
NAMES = ("a", "b", "c")


def made(name, width=4, seed=0, trained=True):
    torch.manual_seed(seed)
    fusion = FUSIONS.get(name)()
    fusion.grow(NAMES, width)
    if trained:
        with torch.no_grad():
            for p in fusion.parameters():
                p.add_(torch.randn_like(p))
    return fusion


@every_fusion
@settings(max_examples=20)
@given(st.lists(st.tuples(*[st.booleans()] * 3).filter(any), min_size=1, max_size=6), st.integers(0, 99))
def test_a_sample_with_a_subset_is_that_sample_alone(name, has, seed):
    fusion = made(name)
    stacked, present = torch.randn(len(has), 3, 4, generator=torch.Generator().manual_seed(seed)), torch.tensor(has)
    joint = fusion(stacked, present, NAMES)
    for row in range(len(has)):
        kept = [i for i in range(3) if has[row][i]]
        alone = fusion(
            stacked[row : row + 1, kept], torch.ones(1, len(kept), dtype=torch.bool), [NAMES[i] for i in kept]
        )
        torch.testing.assert_close(joint[row], alone[0], rtol=1e-4, atol=1e-5)


@every_fusion
def test_what_stands_in_a_missing_place_has_no_influence(name):
    fusion, present = made(name), torch.tensor([[True, False, True], [False, True, True]])
    stacked = torch.randn(2, 3, 4)
    other = torch.where(present[..., None], stacked, 1e4)
    assert torch.equal(fusion(stacked, present, NAMES), fusion(other, present, NAMES))


@every_fusion
def test_a_row_without_any_modality_stays_finite_and_so_does_its_gradient(name):
    fusion = made(name)
    stacked = torch.randn(2, 3, 4, requires_grad=True)
    joint = fusion(stacked, torch.tensor([[False] * 3, [True] * 3]), NAMES)
    joint.square().sum().backward()
    for tensor in (joint, stacked.grad, *(p.grad for p in fusion.parameters() if p.grad is not None)):
        assert bool(tensor.isfinite().all())
    assert joint[0].tolist() == [0.0] * 4


@every_fusion
def test_growth_leaves_what_was_there(name):
    torch.manual_seed(0)
    fusion = FUSIONS.get(name)()
    fusion.grow(("a", "b"), 4)
    stacked, present = torch.randn(3, 2, 4), torch.ones(3, 2, dtype=torch.bool)
    before = fusion(stacked, present, ("a", "b"))
    fusion.grow(("b", "c"), 4)
    assert torch.equal(fusion(stacked, present, ("a", "b")), before)


def test_mean_by_hand():
    stacked = torch.tensor([[[1.0], [3.0]], [[1.0], [3.0]]])
    present = torch.tensor([[True, True], [False, True]])
    assert FUSIONS.get("mean")()(stacked, present, ("a", "b")).tolist() == [[2.0], [3.0]]


def test_concat_is_a_linear_map_of_the_concatenation():
    fusion, stacked = made("concat"), torch.randn(2, 3, 4)
    weight = torch.cat([fusion.maps[m].weight for m in NAMES], 1)
    bias = sum(fusion.maps[m].bias for m in NAMES)
    wanted = stacked.reshape(2, 12) @ weight.T + bias
    torch.testing.assert_close(fusion(stacked, torch.ones(2, 3, dtype=torch.bool), NAMES), wanted)


def test_attention_begins_as_a_mean_and_learns_to_choose():
    fusion, stacked = made("attention", trained=False), torch.randn(5, 3, 4)
    present = torch.ones(5, 3, dtype=torch.bool)
    torch.testing.assert_close(fusion(stacked, present, NAMES), fusion.value(stacked).mean(1))
    with torch.no_grad():  # a query that asks for the largest first number
        fusion.key.weight.copy_(torch.eye(4))
        fusion.key.bias.zero_()
        fusion.query.copy_(torch.tensor([1e4, 0.0, 0.0, 0.0]))
    chosen = stacked[torch.arange(5), stacked[..., 0].argmax(1)]
    torch.testing.assert_close(fusion(stacked, present, NAMES), fusion.value(chosen))
