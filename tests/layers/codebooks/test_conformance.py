"""One suite over every codebook that is registered."""

import copy

import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.errors import DataError, StateError
from polymnia.layers.codebooks.base import CODEBOOKS
from polymnia.models.base import Model, Output
from polymnia.state import join, split

VARIANTS = [
    ("multimodal-ema", {"partner": 0.0}),
    ("multimodal-ema", {"old_decay": 0.995, "decay": 0.9, "idle": 3}),
    ("multimodal-ema", {"growth": "fixed", "added": 5, "idle": None}),
    ("multimodal-ema", {"codes": 200}),
    ("residual", {"second": 5, "idle": 4}),
]
"""Settings that take other ways through the code; every codebook is also tested with its defaults."""
PARTS = [(name, {}) for name in CODEBOOKS.names()] + VARIANTS
every_codebook = pytest.mark.parametrize("name", PARTS, ids=[" ".join(map(str, [n, *s.items()])) for n, s in PARTS])
frozen = pytest.mark.parametrize("name", [part for part in PARTS if "old_decay" not in part[1]], ids=str)


def equal(one, other):
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[found].nan_to_num(-7.0), second[found].nan_to_num(-7.0)) for found in first
    )


def saved(codebook):
    """Return the state as it comes back from a run folder."""
    return join(*split(dict(codebook.state_dict())))


@every_codebook
def test_a_vector_becomes_the_nearest_code_and_its_gradient_passes_straight_through(codebook, group, learn, name):
    made = codebook(name)
    learn(made)
    vectors = group(1, seed=77)[0].requires_grad_()
    found = made.quantise(vectors)
    assert found.vectors.shape == vectors.shape and found.ids.shape == vectors.shape[:-1]
    by_hand = (vectors.detach()[:, :, None] - made.codes).norm(dim=-1)
    assert torch.equal(found.ids, by_hand.argmin(-1))
    weight = torch.randn(vectors.shape)
    (found.vectors * weight).sum().backward()
    assert torch.equal(vectors.grad, weight)
    assert not made.codes.requires_grad and not list(made.parameters())


@every_codebook
def test_a_code_is_its_own_nearest_code(codebook, learn, name):
    made = codebook(name)
    learn(made)
    assert torch.equal(made.codes[made.quantise(made.codes).ids], made.codes)


@every_codebook
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_any_precision_of_the_input_comes_back_and_codes_keep_theirs(codebook, group, name, dtype):
    made = codebook(name)
    given = [member.to(dtype) for member in group()]
    made.update(given)
    found = made.quantise(given[0])
    assert found.vectors.dtype == dtype and found.vectors.isfinite().all()
    assert made.codes.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(made.quantise(given[0]).ids, found.ids)


@every_codebook
def test_a_model_that_is_cast_to_half_keeps_its_codes(codebook, learn, name):
    made = codebook(name)
    learn(made)
    twin = copy.deepcopy(made).to(torch.bfloat16)
    assert equal(twin, made) and twin.codes.dtype == torch.float32
    assert made.double().codes.dtype == torch.float64


@every_codebook
def test_the_same_seed_gives_the_same_codes_and_torchs_generator_is_left_alone(codebook, learn, name):
    random = torch.random.get_rng_state()
    one, other, third = codebook(name), codebook(name), codebook(name)
    learn(one)
    torch.rand(3)
    learn(other)
    torch.random.set_rng_state(random)
    assert equal(one, other)
    learn(third, seed=1)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert not equal(one, third)


@every_codebook
def test_save_load_continue_is_bit_identical(codebook, learn, name):
    whole = codebook(name)
    learn(whole)
    whole.begin(1)
    learn(whole, seed=100, shift=2.0)
    other = codebook(name, begun=False)  # as `Model.rebuilt`: it grows by the saved stages, then loads
    other.begin(0)
    other.begin(1)
    other.load_state_dict(saved(whole))
    assert equal(whole, other) and whole.sizes == other.sizes
    for one in (whole, other):
        learn(one, seed=200, shift=2.0, grow=False)
        one.begin(2)
        learn(one, seed=300, shift=-4.0)
    assert equal(whole, other)
    assert other.sizes == whole.sizes and list(other.sizes) == [0, 1, 2]


class Holding(Model):
    """A family that is nothing but a codebook."""

    def __init__(self, settings, *, seed=0):
        super().__init__(settings, seed=seed)
        kind, given = settings
        self.codebook = CODEBOOKS.get(kind)(6, given)

    def forward(self, batch):
        codes = {m: self.codebook.quantise(values).vectors.mean(1) for m, values in batch.values.items()}
        return Output(torch.zeros(len(batch), 0), batch.targets, representations=codes)

    def _grow(self, stage):
        self.codebook.begin(stage.index)


@every_codebook
def test_a_model_is_rebuilt_with_as_many_codes(group, learn, name):
    kind, given = name
    model = Holding((kind, CODEBOOKS.get(kind).Settings(**{"codes": 12} | given)))
    for index in (0, 1):
        model.grow(Outline(index=index, name=f"{index}", modalities=("image", "text"), widths={"image": 6, "text": 6}))
        learn(model.codebook, seed=100 * index, shift=3.0 * index)
    state = join(*split(model.state_tree()))
    twin = model.rebuilt(state)
    assert equal(twin.codebook, model.codebook) and len(twin.codebook) == len(model.codebook)
    vectors = group(1, seed=9)[0]
    assert torch.equal(twin.codebook.quantise(vectors).ids, model.codebook.quantise(vectors).ids)


@every_codebook
def test_a_state_from_the_middle_of_a_stage_goes_on_too(codebook, group, name):
    whole = codebook(name)
    for index in range(4):
        whole.update(group(seed=index), progress=0.1, seed=index)
    other = codebook(name)
    other.load_state_dict(saved(whole))
    for one in (whole, other):
        for index in range(4, 12):
            one.update(group(seed=index), progress=0.5, seed=index)
    assert equal(whole, other)


@every_codebook
def test_a_copy_and_a_saved_state_are_apart(codebook, learn, name):
    made = codebook(name)
    learn(made)
    twin, state = copy.deepcopy(made), made.state_dict()
    kept = {found: value.clone() for found, value in state.items()}
    made.begin(1)
    learn(made, seed=100)
    assert all(torch.equal(state[found].nan_to_num(-7.0), kept[found].nan_to_num(-7.0)) for found in kept)
    assert len(twin.sizes) == 1


@frozen
def test_codes_of_earlier_stages_keep_their_bits_and_their_ids(codebook, group, learn, name):
    made = codebook(name)
    learn(made)
    size, vectors = made.sizes[0], group(1, rows=50, seed=500)[0]
    codes, before = made.codes.clone(), made.quantise(vectors, first=size)
    for stage in (1, 2):
        made.begin(stage)
        learn(made, seed=100 * stage, shift=3.0 * stage)
        after = made.quantise(vectors, first=size)
        assert torch.equal(made.codes[:size], codes)
        assert torch.equal(after.ids, before.ids) and torch.equal(after.vectors, before.vectors)
        assert made.sizes[0] == size
    assert made.sizes[2] == len(made)


@every_codebook
def test_first_sees_the_oldest_codes_alone(codebook, group, learn, name):
    made = codebook(name)
    learn(made)
    vectors = group(1)[0]
    assert int(made.quantise(vectors, first=3).ids.max()) < 3
    assert not made.quantise(vectors, first=1).ids.any()
    for wrong in (0, -1, len(made) + 1):
        with pytest.raises(DataError, match="accepted"):
            made.quantise(vectors, first=wrong)


@every_codebook
def test_the_order_of_members_and_of_rows_changes_sums_only(codebook, group, name):
    one, other = codebook(name), codebook(name)
    for made in (one, other):
        made.update(group(seed=3))  # the first draws by row
    given, order = group(members=3, seed=4), torch.randperm(16, generator=torch.Generator().manual_seed(0))
    one.update(given)
    other.update([member[order] for member in reversed(given)])
    torch.testing.assert_close(one.codes, other.codes)


@every_codebook
def test_an_update_does_not_touch_what_a_graph_holds(codebook, group, name):
    made = codebook(name)
    made.update(group())
    vectors = group(1, seed=9)[0].requires_grad_()
    loss = (vectors[:, :, None] * made.codes).square().sum()
    made.update(group(seed=1))
    loss.backward()
    assert vectors.grad.isfinite().all()


@every_codebook
def test_one_vector_and_no_vector(codebook, name):
    made = codebook(name)
    made.update([torch.zeros(0, 3, 6), torch.zeros(0, 3, 6)])
    made.update([torch.ones(1, 1, 6)])
    assert made.codes.isfinite().all()
    torch.testing.assert_close(made.quantise(torch.ones(1, 1, 6)).vectors, torch.ones(1, 1, 6), atol=0.2, rtol=0)
    assert made.quantise(torch.ones(0, 4, 6)).vectors.shape == (0, 4, 6)
    made.end(torch.ones(1, 6))
    made.begin(1)
    assert made.grow(torch.zeros(0, 6)) == 0


@every_codebook
def test_what_cannot_be_is_said(codebook, group, name):
    with pytest.raises(StateError, match="begin"):
        codebook(name, begun=False).quantise(torch.zeros(1, 6))
    with pytest.raises(StateError, match="begin"):
        codebook(name, begun=False).update(group())
    made = codebook(name)
    with pytest.raises(StateError, match="upwards"):
        made.begin(0)
    with pytest.raises(DataError, match=r"\(16, 3, 6\), \(16, 1, 6\)"):
        made.update([group()[0], group(steps=1)[0]])
    with pytest.raises(DataError, match="accepted"):
        made.update(group(width=5))
    with pytest.raises(DataError, match="no vectors"):
        made.end(torch.zeros(0, 6))
