import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from polymnia.training.operations import Operations


def linear(training: bool) -> None:
    layers = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3, bias=False))
    with torch.inference_mode(not training):
        loss = layers(torch.ones(4, 6)).logsumexp(1).mean()
    if training:
        loss.backward()


def attention(training: bool) -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True).train(training)
    x = torch.ones(3, 5, 8)
    with torch.inference_mode(not training):
        out = layer(x, x, x, need_weights=False)[0]
    if training:
        out.sum().backward()


def convolution(training: bool) -> None:
    layer = nn.Conv2d(2, 4, 3)
    with torch.inference_mode(not training):
        out = layer(torch.ones(2, 2, 8, 8))
    if training:
        out.sum().backward()


def products(training: bool) -> None:
    a, b = torch.ones(2, 3, 4, requires_grad=True), torch.ones(2, 4, 5)
    with torch.inference_mode(not training):
        out = torch.einsum("bij,bjk->bik", a, b) + torch.matmul(a, b) + a @ torch.ones(4, 5)
    if training:
        out.sum().backward()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("work", [linear, attention, convolution, products])
def test_the_count_is_that_of_torchs_counter(work, training):
    with FlopCounterMode(display=False) as torchs:
        work(training)
    with Operations() as ours:
        work(training)
    assert ours.total == torchs.get_total_flops()


def test_the_count_is_two_for_each_multiplication_of_a_matrix_product():
    with Operations() as forward:
        linear(training=False)
    assert forward.total == 2 * 4 * (6 * 5 + 5 * 3)
    with Operations() as step:
        linear(training=True)
    assert step.total == forward.total + 2 * 4 * (6 * 5 + 2 * 5 * 3)  # no gradient is asked of the input
