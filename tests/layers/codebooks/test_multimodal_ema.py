import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.errors import SettingsError, StateError
from polymnia.layers.codebooks.figures import perplexity, usage
from polymnia.layers.codebooks.multimodal_ema import MultimodalEMA, partnered

CENTRES = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]])
close = {"atol": 1e-6, "rtol": 1e-6}


def blobs(count=20, seed=0, centres=CENTRES, noise=1.0):
    """Return (count · K, 1, D) vectors around K centres, as many around each."""
    random = torch.Generator().manual_seed(seed)
    return (centres.repeat(count, 1) + noise * torch.randn(count * len(centres), 2, generator=random))[:, None]


def placed(codes, width=2, stage=0, **settings):
    """Return a codebook whose codes stand where a test wants them, each with count 1."""
    made = MultimodalEMA(width, MultimodalEMA.Settings(codes=len(codes), **settings))
    made.begin(stage)
    made.place(torch.ones(len(codes), dtype=torch.bool), torch.as_tensor(codes))
    made.drawn = torch.tensor(True)
    return made


# averages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_one_batch_of_three_clusters_with_decay_0_makes_codes_their_means(seed):
    made = MultimodalEMA(2, MultimodalEMA.Settings(codes=3, decay=0.0))
    made.begin(0)
    vectors = blobs(seed=seed)
    made.update([vectors], seed=seed)
    wanted = vectors.view(-1, 3, 2).mean(0)
    found = made.codes[made.quantise(CENTRES).ids]
    torch.testing.assert_close(found, wanted, **close)


def test_equation_7_by_hand():
    made = placed([[0.0, 0.0], [10.0, 0.0]], decay=0.9, epsilon=0.0)
    one, other = torch.tensor([[[1.0, 0.0]], [[11.0, 0.0]]]), torch.tensor([[[2.0, 0.0]], [[3.0, 4.0]]])
    # hits: code 0 by one[0], other[0] and other[1]; code 1 by one[1]
    made.update([one, other])
    mixed = torch.tensor([[1.5, 0.0], [7.0, 2.0], [1.5, 0.0], [7.0, 2.0]])
    weights = torch.stack([0.1 * (mixed[0] + mixed[2] + mixed[3]), 0.9 * torch.tensor([10.0, 0.0]) + 0.1 * mixed[1]])
    counts = torch.tensor([0.9 + 0.3, 0.9 + 0.1])
    torch.testing.assert_close(made.counts, counts)
    torch.testing.assert_close(made.weights, weights)
    torch.testing.assert_close(made.codes, weights / counts[:, None])


def test_counts_are_smoothed_as_in_the_authors_code():
    made = placed([[0.0, 0.0], [10.0, 0.0]], decay=0.5, epsilon=0.1)
    made.update([torch.tensor([[[2.0, 0.0]], [[9.0, 0.0]], [[11.0, 0.0]]])])
    counts = torch.tensor([1.0, 1.5])
    smoothed = (counts + 0.1) / (2.5 + 0.2) * 2.5
    torch.testing.assert_close(made.codes[:, 0], torch.tensor([1.0, 15.0]) / smoothed)


def test_a_code_without_a_hit_keeps_its_bits_while_its_count_fades():
    made = placed([[0.1, 0.3], [10.0, 0.0]], decay=0.9, idle=None)
    before = made.codes[0].clone()
    for _ in range(300):
        made.update([torch.tensor([[[9.0, 0.0]]])])
    assert torch.equal(made.codes[0], before)
    assert float(made.counts[0]) < 1e-12 and made.idle.tolist() == [300, 0]


def test_a_constant_offset_between_modalities_puts_codes_at_the_midpoint():
    offset = torch.tensor([6.0, 8.0])
    one = blobs(seed=1)
    other = one + offset
    both = MultimodalEMA(2, MultimodalEMA.Settings(codes=3, decay=0.9))
    both.begin(0)
    for step in range(100):
        both.update([one, other], seed=step)
    wanted = one.view(-1, 3, 2).mean(0) + offset / 2
    torch.testing.assert_close(both.codes[both.quantise(CENTRES).ids], wanted, atol=1e-3, rtol=0)
    assert torch.equal(both.quantise(one).ids, both.quantise(other).ids)  # every code is shared


def test_without_partners_codes_of_one_modality_stay_with_it():
    offset = torch.tensor([30.0, 40.0])
    one = blobs(seed=1)
    members, ends = [one, one + offset], {}
    for partner in (0.5, 0.0):
        made = placed(torch.cat([CENTRES, CENTRES + offset]).tolist(), decay=0.0, partner=partner)
        made.update(members)
        ends[partner] = made.codes
    means = one.view(-1, 3, 2).mean(0)
    torch.testing.assert_close(ends[0.0], torch.cat([means, means + offset]), atol=1e-4, rtol=0)
    torch.testing.assert_close(ends[0.5], torch.cat([means, means]) + offset / 2, atol=1e-4, rtol=0)


def test_three_members_count_a_half_and_two_quarters():
    members = torch.tensor([[[[0.0]]], [[[4.0]]], [[[8.0]]]])
    assert partnered(members, 0.5).flatten().tolist() == [3.0, 4.0, 5.0]
    assert torch.equal(partnered(members[:1], 0.5), members[:1])
    assert torch.equal(partnered(members, 0.0), members)


def test_the_first_codes_are_vectors_of_the_first_batch_and_all_are_used():
    vectors = torch.randn(60, 3, 4, generator=torch.Generator().manual_seed(0))
    made = MultimodalEMA(4, MultimodalEMA.Settings(codes=40, decay=1.0))
    made.begin(0)
    made.update([vectors])
    assert (made.codes[:, None] == vectors.flatten(0, 1)).all(-1).any(1).all()
    assert usage(made.quantise(vectors).ids, 40) == 1.0


def test_more_codes_than_vectors_are_apart():
    made = MultimodalEMA(4, MultimodalEMA.Settings(codes=50))
    made.begin(0)
    made.update([torch.randn(10, 1, 4, generator=torch.Generator().manual_seed(0))])
    assert len(made.codes.unique(dim=0)) == 50


# reset -------------------------------------------------------------------------------------------------------------


def near_one_code(seed):
    return 0.5 * torch.randn(32, 2, 2, generator=torch.Generator().manual_seed(seed))


def lonely(**settings):
    """Return a codebook of which one code is near all inputs."""
    far = [[100.0 + 10 * row, 100.0] for row in range(15)]
    return placed([[0.0, 0.0], *far], idle=10, **settings)


def test_usage_recovers_within_the_idle_window_and_survives_the_next_average():
    made = lonely()
    shares = []
    for step in range(12):
        made.update([near_one_code(step)], progress=0.1, seed=step)
        shares.append(usage(made.quantise(near_one_code(99)).ids, 16))
    assert shares[8] == 1 / 16  # after nine batches
    assert shares[9] > 0.9 and shares[10] > 0.9 and shares[11] > 0.9
    assert perplexity(made.quantise(near_one_code(99)).ids, 16) > 8


def test_a_reset_sets_code_weight_and_count_together():
    made = lonely()
    for step in range(10):
        made.update([near_one_code(step)], progress=0.1, seed=step)
    new = made.codes[1:].clone()
    assert (new[:, None] == near_one_code(9).flatten(0, 1)).all(-1).any(1).all()  # vectors of the batch
    assert torch.equal(made.weights[1:], new) and made.counts[1:].tolist() == [1.0] * 15
    assert not made.idle.any()
    made.update([near_one_code(10)], progress=0.1, seed=10)
    assert float((made.codes[1:] - new).norm(dim=1).max()) < 0.2  # moved by an average, not thrown back by 100


def test_a_hit_by_any_member_counts_and_after_reset_until_nothing_is_reset():
    made = placed([[0.0, 0.0], [50.0, 0.0]], idle=2, partner=0.0)
    one, other = torch.zeros(4, 1, 2), torch.tensor([50.0, 0.0]).expand(4, 1, 2)
    for step in range(6):
        made.update([one, other], progress=0.1, seed=step)
    assert made.idle.tolist() == [0, 0]
    late = lonely(reset_until=0.8)
    before = late.codes[1:].clone()
    for step in range(30):
        late.update([near_one_code(step)], progress=0.81, seed=step)
    assert torch.equal(late.codes[1:], before)
    late.update([near_one_code(30)], progress=0.8, seed=30)
    assert not torch.equal(late.codes[1:], before)


def test_codes_of_earlier_stages_are_never_reset():
    made = lonely()
    before = made.codes.clone()
    made.begin(1)
    for step in range(40):
        made.update([near_one_code(step)], progress=0.1, seed=step)
    assert torch.equal(made.codes, before)


# generations -------------------------------------------------------------------------------------------------------


def test_each_generation_has_its_decay():
    made = placed([[0.0, 0.0]], decay=0.5, old_decay=0.75, growth="fixed", added=1, epsilon=0.0)
    made.end(torch.zeros(1, 2))
    made.begin(3)
    assert made.grow(torch.tensor([[10.0, 0.0]])) == 1
    assert made.codes.tolist() == [[0.0, 0.0], [10.0, 0.0]]
    made.update([torch.tensor([[[2.0, 0.0]], [[12.0, 0.0]]])])
    torch.testing.assert_close(made.codes[:, 0], torch.tensor([0.25 * 2, 0.5 * 10 + 0.5 * 12]))
    assert made.sizes == {0: 1, 3: 2}


def world(concepts, seed, count=1500):
    """Return vectors (M, 8) of the first concepts of a world of 24."""
    centres = 2 * torch.randn(24, 8, generator=torch.Generator().manual_seed(5))
    random = torch.Generator().manual_seed(seed)
    return centres[torch.randint(concepts, (count,), generator=random)] + 0.5 * torch.randn(count, 8, generator=random)


def after_one_stage(**settings):
    made = MultimodalEMA(8, MultimodalEMA.Settings(**{"codes": 32, "decay": 0.95} | settings))
    made.begin(0)
    for step in range(60):
        made.update([world(12, step, 96)[:, None], world(12, step, 96)[:, None]], progress=step / 60, seed=step)
    made.end(world(12, 1000))
    made.begin(1)
    return made


def test_the_same_stage_again_adds_five_per_cent_and_new_concepts_add_more():
    same, new = after_one_stage(), after_one_stage()
    again, more = same.grow(world(12, 2000)), new.grow(world(24, 2000))
    assert 0 <= again <= 3  # 5 % of 32 is 1.6
    assert more >= 10  # half of the concepts are new
    assert same.history[1].share == pytest.approx(0.05, abs=0.025) and new.history[1].share > 0.3
    assert [g.added for g in new.history] == [0, more] and [g.size for g in new.history] == [32, 32 + more]
    assert new.history[0].distance > 0 and new.history[1].distance != new.history[1].distance  # not measured yet
    unseen = world(24, 3000)
    assert usage(new.quantise(unseen).ids, len(new)) > usage(same.quantise(unseen).ids, len(same)) - 0.1
    assert float((new.quantise(unseen).vectors - unseen).norm(dim=1).mean()) < 0.7 * float(
        (same.quantise(unseen).vectors - unseen).norm(dim=1).mean()
    )


def test_new_codes_are_means_of_far_vectors_with_count_1():
    made = placed([[0.0, 0.0]], quantile=1.0)
    made.end(torch.tensor([[0.0, 5.0]]))  # rho = 5
    made.begin(1)
    near = torch.tensor([[0.0, 4.0], [3.0, 0.0]])
    far = torch.tensor([[100.0, 0.0], [102.0, 0.0]])
    assert made.grow(torch.cat([near, far])) == 1  # min(200, ceil(0.5 · 1))
    assert made.codes.tolist() == [[0.0, 0.0], [101.0, 0.0]]
    assert made.weights[1].tolist() == [101.0, 0.0] and made.counts.tolist() == [1.0, 1.0]
    assert made.history[1].share == 0.5


def test_most_bounds_novelty_and_fixed_is_a_number_in_every_later_stage():
    assert after_one_stage(most=4).grow(world(24, 2000)) == 4
    assert after_one_stage(growth="none").grow(world(24, 2000)) == 0
    fixed = after_one_stage(growth="fixed", added=7)
    assert fixed.grow(world(12, 2000)) == 7 and len(fixed) == 39
    first = MultimodalEMA(8, MultimodalEMA.Settings(codes=4, growth="fixed", added=7))
    first.begin(0)
    assert first.grow(world(12, 0)) == 0  # nothing is new in the first stage


def test_what_is_kept_of_growth_survives():
    made = after_one_stage()
    made.grow(world(24, 2000))
    other = MultimodalEMA(8, made.settings)
    other.load_state_dict(made.state_dict())  # without having begun any stage
    assert str(other.history) == str(made.history) and other.sizes == made.sizes


def test_growth_by_novelty_needs_a_measured_distance():
    made = placed([[0.0, 0.0]])
    made.begin(1)
    with pytest.raises(StateError, match=r"end\(vectors\)"):
        made.grow(torch.ones(3, 2))


def test_rho_is_the_quantile_of_distances():
    made = placed([[0.0, 0.0]], quantile=0.5)
    made.end(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]]))
    assert made.history[0].distance == 2.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"codes": 0},
        {"decay": 1.5},
        {"partner": -0.1},
        {"idle": 0},
        {"growth": "fixed"},
        {"growth": "much"},
        {"most": -1},
    ],
    ids=str,
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(SettingsError, match=r"codebook\."):
        MultimodalEMA.Settings(**wrong)


@given(st.integers(1, 3), st.integers(1, 6), st.floats(0, 1), st.floats(0, 0.99), st.integers(0, 10))
def test_codes_stay_among_the_vectors_that_made_them(members, rows, partner, decay, seed):
    """An average lies within what it averages, whatever the settings."""
    random = torch.Generator().manual_seed(seed)
    made = MultimodalEMA(2, MultimodalEMA.Settings(codes=3, partner=partner, decay=decay, epsilon=0.0))
    made.begin(0)
    batches = [[torch.randn(rows, 2, 2, generator=random) for _ in range(members)] for _ in range(3)]
    for batch in batches:
        made.update(batch)
    given_ = torch.stack([member for batch in batches for member in batch]).reshape(-1, 2)
    slack = 1.0 if rows * 2 < 3 else 1e-4  # drawn twice: with noise
    assert bool((made.codes >= given_.amin(0) - slack).all() and (made.codes <= given_.amax(0) + slack).all())
