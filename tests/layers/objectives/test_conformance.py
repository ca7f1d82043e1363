"""One suite over every objective that is registered."""

import copy

import pytest
import torch

from polymnia.layers.objectives.base import OBJECTIVES
from polymnia.state import join, split

VARIANTS = [
    ("cross-cpc", {"ahead": 2, "layers": 2}),
    ("info-nce", {"level": "clip"}),
    ("masked-info-nce", {"share": 0.7}),
    ("symile", {"negatives": "all"}),
    ("symile", {"level": "clip"}),
]
"""Settings that take other ways through the code; every objective is also tested with its defaults."""
PARTS = [(name, {}) for name in OBJECTIVES.names()] + VARIANTS
every = pytest.mark.parametrize("name", PARTS, ids=[" ".join(map(str, [n, *s.items()])) for n, s in PARTS])
both_modes = pytest.mark.parametrize("training", [True, False])


def shuffled(sequences):
    """Move each modality's rows on by another number, so that none meets its own."""
    return {m: values.roll(places, 0) for places, (m, values) in enumerate(sorted(sequences.items()))}


def gradients(objective, sequences, present):
    """Return the loss and the gradients of sequences and weights."""
    leaves = {m: values.clone().requires_grad_() for m, values in sequences.items()}
    loss = objective(leaves, present)
    loss.backward()
    return loss.detach(), {m: leaf.grad for m, leaf in leaves.items()}


@every
@both_modes
def test_it_is_a_finite_scalar_that_pulls_at_all_it_compares(objective, pairs, everywhere, name, training):
    made, sequences = objective(name).train(training), pairs()
    loss, found = gradients(made, sequences, everywhere(sequences))
    assert loss.shape == () and loss.isfinite() and loss > 0
    assert all(grad.isfinite().all() and grad.any(-1).any(-1).all() for grad in found.values())
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in made.parameters())


@every
@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_give_zero_with_a_gradient_of_zero(objective, pairs, everywhere, name, rows):
    made, sequences = objective(name), pairs(rows)
    loss, found = gradients(made, sequences, everywhere(sequences))
    assert float(loss) == 0 and not any(grad.any() for grad in found.values())
    a, b = sequences["audio"].requires_grad_(), sequences["text"]
    made.between("audio", a, "text", b).backward()
    assert not made.between("audio", a, "text", b).detach().any() and not a.grad.any()


@every
def test_no_pair_of_modalities_gives_zero_whatever_stands_where_nothing_is(objective, pairs, everywhere, name):
    made, sequences = objective(name), pairs(4)
    present = {m: torch.arange(4) == i for i, m in enumerate(sequences)}
    junk = {m: torch.where(present[m][:, None, None], values, float("nan")) for m, values in sequences.items()}
    loss, found = gradients(made, junk, present)
    assert float(loss) == 0 and not any(grad.any() for grad in found.values())
    alone = {"text": sequences["text"]}
    assert float(made(alone, everywhere(alone))) == 0
    assert float(made({}, {})) == 0


@every
@both_modes
def test_the_order_of_modalities_does_not_matter(objective, pairs, everywhere, name, training):
    made, sequences = objective(name).train(training), pairs()
    twin = copy.deepcopy(made)
    turned = dict(reversed(sequences.items()))
    assert torch.equal(twin(turned, everywhere(turned)), made(sequences, everywhere(sequences)))


@every
@both_modes
def test_it_is_symmetric(objective, pairs, name, training):
    made, sequences = objective(name).train(training), pairs()
    twin, a, b = copy.deepcopy(made), sequences["audio"], sequences["text"]
    torch.testing.assert_close(twin.between("text", b, "audio", a), made.between("audio", a, "text", b))


@every
def test_the_order_of_rows_does_not_matter(objective, pairs, everywhere, name):
    made, sequences = objective(name).eval(), pairs()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    turned = {m: values[order] for m, values in sequences.items()}
    torch.testing.assert_close(made(turned, everywhere(turned)), made(sequences, everywhere(sequences)))


@every
@both_modes
def test_absent_rows_have_no_influence_and_get_no_gradient(objective, pairs, name, training):
    made, sequences = objective(name).train(training), pairs(12)
    row = torch.arange(12)
    present = {"audio": row % 3 != 0, "image": row < 8, "text": row > 1}
    junk = {m: torch.where(present[m][:, None, None], values, float("nan")) for m, values in sequences.items()}
    twin = copy.deepcopy(made)
    loss, found = gradients(made, junk, present)
    wanted, clean = gradients(twin, sequences, present)
    assert torch.equal(loss, wanted)
    for m, grad in found.items():
        assert torch.equal(grad, clean[m]) and not grad[~present[m]].any()


@every
def test_paired_data_lose_less_than_shuffled_and_are_found_far_above_chance(objective, pairs, everywhere, train, name):
    two = {"modalities": ("audio", "text")}
    made = train(objective(name, **two), [pairs(seed=seed, **two) for seed in range(1, 100)]).eval()
    paired, chance = pairs(seed=0, **two), 1 / 24
    apart = shuffled(paired)
    assert made(paired, everywhere(paired)) < made(apart, everywhere(apart)) - 0.5
    assert made.accuracy("audio", paired["audio"], "text", paired["text"]) > 6 * chance
    assert made.accuracy("audio", apart["audio"], "text", apart["text"]) < 3 * chance


@every
def test_what_it_trains_tells_paired_from_shuffled_triples(objective, pairs, everywhere, train, name):
    """Maps in front are trained too: the sum of products of three equal unit vectors need not be large."""
    torch.manual_seed(1)
    made, maps = objective(name), torch.nn.ModuleDict({m: torch.nn.Linear(8, 8) for m in ("audio", "image", "text")})
    mapped = Mapped(made, maps)
    train(mapped, [pairs(16, seed=seed) for seed in range(1, 50)])
    paired = pairs(16, seed=0)
    apart = shuffled(paired)
    assert mapped(paired, everywhere(paired)) < mapped(apart, everywhere(apart)) - 0.5


class Mapped(torch.nn.Module):
    """An objective behind a linear map of each modality."""

    def __init__(self, objective, maps):
        super().__init__()
        self.objective, self.maps = objective, maps

    def forward(self, sequences, present):
        return self.objective({m: self.maps[m](values) for m, values in sequences.items()}, present)


@every
def test_growth_by_a_modality_leaves_what_was_there(objective, pairs, name):
    made, sequences = objective(name, modalities=("audio", "text")).eval(), pairs()
    before = made.between("audio", sequences["audio"], "text", sequences["text"])
    made.grow(("text", "image"))
    assert torch.equal(made.between("audio", sequences["audio"], "text", sequences["text"]), before)
    assert made.between("audio", sequences["audio"], "image", sequences["image"]).isfinite()


@every
@both_modes
def test_goes_through_the_disk_format_and_goes_on_as_it_would_have(objective, pairs, everywhere, train, name, training):
    made, sequences = train(objective(name), [pairs(seed=seed) for seed in range(1, 4)]).train(training), pairs()
    twin = objective(name, seed=7).train(training)
    twin.load_state_dict(join(*split(dict(made.state_dict()))))
    for _ in range(3):
        assert torch.equal(twin(sequences, everywhere(sequences)), made(sequences, everywhere(sequences)))


@every
@both_modes
def test_it_draws_from_no_global_generator(objective, pairs, everywhere, name, training):
    made, sequences = objective(name).train(training), pairs()
    state = torch.get_rng_state()
    made(sequences, everywhere(sequences))
    assert torch.equal(torch.get_rng_state(), state)


@every
def test_single_vectors_work_or_are_refused_in_words(objective, pairs, everywhere, name):
    from polymnia.errors import SettingsError

    sequences = pairs(steps=1)
    if name[0] == "cross-cpc":
        with pytest.raises(SettingsError, match="info-nce works"):
            objective(name, steps=1)
        with pytest.raises(SettingsError, match="info-nce works"):
            objective(name)(sequences, everywhere(sequences))
    else:
        assert objective(name, steps=1)(sequences, everywhere(sequences)) > 0


@every
def test_sixty_four_bit_stays_sixty_four_bit(objective, pairs, everywhere, name):
    made = objective(name).double()
    sequences = {m: values.double() for m, values in pairs().items()}
    assert made(sequences, everywhere(sequences)).dtype == torch.float64
