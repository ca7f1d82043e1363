import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.randomness import Randomness, derive, drawing_from


@given(st.integers(0, 2**31), st.lists(st.text(max_size=4), max_size=3), st.lists(st.text(max_size=4), max_size=3))
def test_seeds_depend_on_every_name(seed, a, b):
    assert (derive(seed, *a) == derive(seed, *b)) == (a == b)
    assert 0 <= derive(seed, *a) < 2**63


def test_one_parts_draws_do_not_shift_anothers():
    quiet, busy = Randomness(3), Randomness(3)
    torch.rand(1000, generator=busy.generator("memory"))
    assert torch.equal(
        torch.rand(5, generator=quiet.generator("order")), torch.rand(5, generator=busy.generator("order"))
    )


def test_positions_come_back():
    randomness = Randomness(1)
    torch.rand(3, generator=randomness.generator("memory"))
    state = randomness.state_dict()
    after = torch.rand(3, generator=randomness.generator("memory")), torch.rand(3)
    other = Randomness(1)
    other.load_state_dict(state)
    assert torch.equal(torch.rand(3, generator=other.generator("memory")), after[0])
    assert torch.equal(torch.rand(3), after[1])


def test_drawing_from_puts_the_global_generator_back():
    before = torch.get_rng_state()
    with drawing_from(0, "initialisation", 1):
        first = torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)
    with drawing_from(0, "initialisation", 1):
        assert torch.equal(torch.rand(2), first)
