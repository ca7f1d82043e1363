import pytest
import torch

from polymnia.layers.deltas.base import PICTURE, TEXT, Asked
from polymnia.layers.deltas.token_gated import TokenGated

KINDS = torch.tensor([[TEXT, PICTURE, PICTURE], [PICTURE, TEXT, TEXT]])


def made(**settings):
    torch.manual_seed(0)
    delta = TokenGated(3, 4, TokenGated.Settings(rank=2, alpha=6.0, **settings), asked=Asked(kinds=KINDS))
    with torch.no_grad():
        for p in delta.parameters():
            p.copy_(torch.randn(p.shape))
    return delta


@pytest.mark.parametrize(("kind", "of"), [("picture", PICTURE), ("text", TEXT)])
def test_tokens_of_one_kind_get_the_map_and_others_nothing(kind, of):
    delta, given = made(kind=kind), torch.randn(2, 3, 3)
    wanted = 3.0 * given @ delta.low_rank.down.T @ delta.low_rank.up.T  # alpha / rank
    found = delta(given)
    torch.testing.assert_close(found[of == KINDS], wanted[of == KINDS])
    assert not found[of != KINDS].any()


def test_old_sequences_pass_to_the_last_bit_while_it_learns_and_give_no_gradient():
    delta, given, host = made(), torch.randn(2, 3, 3), torch.randn(2, 3, 4)
    delta.asked.kinds = torch.full((2, 3), TEXT)
    assert torch.equal(host + delta(given), host)
    delta(given).sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in delta.parameters())
    delta.asked.kinds = None  # a family that tells no kinds has texts
    assert not delta(given).any()


def test_dropout_is_for_training_alone():
    delta, given = made(dropout=0.5), torch.randn(2, 3, 3)
    assert torch.equal(delta.eval()(given), made().eval()(given))
    assert not torch.equal(delta.train()(given), delta.eval()(given))
