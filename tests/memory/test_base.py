import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.errors import SettingsError, StateError
from polymnia.memory.base import MEMORIES, pooled_values
from polymnia.memory.reservoir import Reservoir
from polymnia.randomness import Randomness
from polymnia.state import join, split

every_memory = pytest.mark.parametrize("kind", [MEMORIES.get(name) for name in MEMORIES], ids=MEMORIES.names())


def targets_of(n):
    return [i % 3 for i in range(n)]


@every_memory
def test_without_room_nothing_is_kept_and_draws_are_empty_and_take_no_random_number(kind, numbered):
    memory = kind(0, Randomness(0))
    position = memory.randomness.generator("memory").get_state()
    memory.add(numbered(0, 50, targets_of(50)))
    assert len(memory) == 0 and len(memory.draw(8)) == 0 and len(memory.all()) == 0 and memory.bytes == 0
    assert torch.equal(memory.randomness.generator("memory").get_state(), position)


@every_memory
def test_it_never_holds_more_than_its_room_nor_anything_twice_nor_anything_made_up(kind, numbered, names_in):
    memory = kind(10, Randomness(0))
    for start in range(0, 60, 7):
        memory.add(numbered(start, start + 7, targets_of(7)))
        held = names_in(memory.all())
        assert len(held) == len(set(held)) == len(memory) == min(10, start + 7)
        assert set(held) <= set(range(start + 7))


@every_memory
def test_saved_and_loaded_it_goes_on_as_if_nothing_had_happened(kind, numbered, names_in):
    memory, random = kind(9, Randomness(5)), Randomness(5)
    memory.add(numbered(0, 30, targets_of(30)))
    memory.draw(4)
    twin = kind(9, random)
    tensors, rest = split(memory.state_dict())
    positions = {name: value.clone() for name, value in memory.randomness.state_dict().items()}
    twin.load_state_dict(join(tensors, rest))
    random.load_state_dict(positions)
    for start in (30, 50, 3000):
        for each in (memory, twin):
            each.add(numbered(start, start + 20, targets_of(20)))
        assert names_in(memory.draw(6)) == names_in(twin.draw(6))
        assert names_in(memory.all()) == names_in(twin.all())


@every_memory
def test_what_it_holds_does_not_depend_on_how_often_was_drawn(kind, numbered, names_in):
    quiet, busy = kind(8, Randomness(1)), kind(8, Randomness(1))
    for start in range(0, 90, 9):
        for each in (quiet, busy):
            each.add(numbered(start, start + 9, targets_of(9)))
        busy.draw(5)
    assert names_in(quiet.all()) == names_in(busy.all())


def test_a_draw_has_no_sample_twice_and_every_sample_comes_equally_often(numbered, names_in):
    memory = Reservoir(12, Randomness(0))
    memory.add(numbered(0, 12))
    counts = torch.zeros(12)
    for _ in range(3000):
        drawn = names_in(memory.draw(4))
        assert len(set(drawn)) == 4
        counts[drawn] += 1
    # each count is binomial (3000, 1/3): standard deviation 26; 130 is five of them
    assert (counts - 1000).abs().max() < 130


def test_draws_from_a_large_memory_have_no_sample_twice_either(numbered, names_in):
    memory = Reservoir(6000, Randomness(0))
    memory.add(numbered(0, 6000))
    drawn = [names_in(memory.draw(60)) for _ in range(300)]  # of 60, two are the same in a quarter of all tries
    assert all(len(set(names)) == 60 for names in drawn)
    mean = torch.tensor(drawn).float().mean()
    assert abs(mean - 2999.5) < 5 * 6000 / 12**0.5 / (300 * 60) ** 0.5


def test_asked_for_more_than_it_holds_it_gives_all(numbered, names_in):
    memory = Reservoir(5, Randomness(0))
    memory.add(numbered(0, 3))
    assert sorted(names_in(memory.draw(100))) == [0, 1, 2]
    assert len(memory.draw(0)) == 0


def test_bytes_are_those_of_the_filled_part(numbered):
    memory = Reservoir(100, Randomness(0))
    memory.add(numbered(0, 3))
    assert memory.bytes == 3 * (4 + 8)


def test_a_negative_room_and_a_state_too_large_are_refused_in_plain_words(numbered):
    with pytest.raises(SettingsError, match=r"a memory of -1 samples"):
        Reservoir(-1, Randomness(0))
    memory = Reservoir(5, Randomness(0))
    memory.add(numbered(0, 5))
    with pytest.raises(StateError, match=r"holds 5 samples; this one has room for 4"):
        Reservoir(4, Randomness(0)).load_state_dict(memory.state_dict())


def test_pooled_values_are_means_over_valid_tokens_side_by_side_in_the_order_of_names():
    valid = torch.tensor([[True, False]])
    batch = Batch(
        {"b": torch.tensor([[[1.0], [0.0]]]), "a": torch.tensor([[[2.0, 4.0]]])}, torch.zeros(1), {"b": valid}
    )
    assert pooled_values(batch).tolist() == [[2.0, 4.0, 1.0]]
