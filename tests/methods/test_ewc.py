import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.methods.ewc import EWC
from polymnia.methods.fisher import fisher_diagonal
from polymnia.methods.parameters import copied
from polymnia.state import join, split


def moved(model, seed):
    """Change all weights, as training would."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=random))


def penalty_by_hand(model, kept):
    """½ Σ over stages of F_k (θ − θ_k)², each over the entries that there were."""
    total = torch.zeros(())
    for fisher, anchor in kept:
        for name, p in model.named_parameters():
            if name in fisher:
                f, old = fisher[name], anchor[name]
                total = total + (f * (p[tuple(slice(0, n) for n in f.shape)] - old).square()).sum() / 2
    return total


def lived(method, tiny_batch, tiny_stage, stages=3):
    """Let a method live through stages in which weights move and a class is added; return (F, θ) of each."""
    kept = []
    for index in range(stages):
        batch = tiny_batch(0, 1, 1, index, seed=index)
        if index:
            outline = Outline(index=index, name=str(index), modalities=("x",), classes=(1 + index,), widths={"x": 3})
            method.model.grow(outline)
        stage = tiny_stage(batch, index)
        method.before_stage(stage)
        moved(method.model, seed=10 + index)
        method.after_stage(stage)
        kept.append((fisher_diagonal(method.model, [batch]), copied(method.model)))
    return kept


def test_nothing_is_added_in_the_first_stage(tiny_model, tiny_batch):
    assert set(EWC(tiny_model()).loss(tiny_batch(0, 1))) == {"task"}


def test_one_stage_is_equation_3(tiny_model, tiny_batch, tiny_stage):
    method = EWC(tiny_model(), EWC.Settings(strength=7.0))
    kept = lived(method, tiny_batch, tiny_stage, stages=1)
    assert float(method.loss(tiny_batch(0, 1))["ewc"].detach()) == 0.0  # still at the anchor
    moved(method.model, seed=3)
    terms = method.loss(tiny_batch(0, 1))
    torch.testing.assert_close(terms["ewc"], 7.0 * penalty_by_hand(method.model, kept))
    assert set(terms) == {"task", "ewc"}


def test_per_stage_folds_every_parabola_into_one(tiny_model, tiny_batch, tiny_stage):
    method = EWC(tiny_model(), EWC.Settings(mode="per-stage"))
    kept = lived(method, tiny_batch, tiny_stage)
    size = method.memory_bytes()
    for seed in range(3):
        moved(method.model, seed)
        ours, wanted = method.penalty(), penalty_by_hand(method.model, kept)
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)
        parameters = list(method.model.parameters())
        for one, other in zip(
            torch.autograd.grad(ours, parameters), torch.autograd.grad(wanted, parameters), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    batch = tiny_batch(0, 1, seed=9)
    for index in range(3, 6):  # more stages of the same shape cost no more
        method.before_stage(tiny_stage(batch, index))
        method.after_stage(tiny_stage(batch, index))
        assert method.memory_bytes() == size


def test_online_is_equation_8(tiny_model, tiny_batch, tiny_stage):
    method = EWC(tiny_model(), EWC.Settings(decay=0.5))
    kept = lived(method, tiny_batch, tiny_stage)
    _, latest = kept[-1]
    for name, importance in method.importance.items():
        wanted = torch.zeros_like(importance)
        for age, (fisher, _) in enumerate(reversed(kept)):
            wanted[tuple(slice(0, n) for n in fisher[name].shape)] += 0.5**age * fisher[name]
        torch.testing.assert_close(importance, wanted)
        assert torch.equal(method.anchor[name], latest[name])


@pytest.mark.parametrize("mode", ["online", "per-stage"])
def test_rows_that_came_later_are_free(mode, tiny_model, tiny_batch, tiny_stage):
    method = EWC(tiny_model(2), EWC.Settings(mode=mode))
    lived(method, tiny_batch, tiny_stage, stages=1)
    method.model.grow(Outline(index=1, name="1", modalities=("x",), classes=(2, 3), widths={"x": 3}))
    method.before_stage(tiny_stage(tiny_batch(2, 3), 1))
    (gradient,) = torch.autograd.grad(method.penalty(), method.model.head.weight)
    assert not gradient.any()
    moved(method.model, seed=0)
    (gradient,) = torch.autograd.grad(method.penalty(), method.model.head.weight)
    assert bool(gradient[:2].any())
    assert not gradient[2:].any()


def test_drawn_labels_draw_the_same_after_a_restart(tiny_model, tiny_batch, tiny_stage):
    stage = tiny_stage(tiny_batch(0, 1, 0, 1))
    importances = []
    for _ in range(2):
        method = EWC(tiny_model(), EWC.Settings(labels="drawn"))
        method.before_stage(stage)
        method.after_stage(stage)
        importances.append(method.importance)
    assert all(torch.equal(importances[0][n], importances[1][n]) for n in importances[0])


def test_a_few_samples_stand_for_all(tiny_model, tiny_batch, tiny_stage):
    """So many as there are is all of them; fewer are some of them, the same after a restart."""
    stage, found = tiny_stage(tiny_batch(0, 1, 0, 1)), []
    for samples in (None, 4, 9, 1, 1):
        method = EWC(tiny_model(), EWC.Settings(samples=samples))
        method.before_stage(stage)
        method.after_stage(stage)
        found.append(torch.cat([value.flatten() for value in method.importance.values()]))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert torch.equal(found[3], found[4]) and not torch.allclose(found[0], found[3])
    with pytest.raises(SettingsError, match="at least 1 is needed"):
        EWC.Settings(samples=0)


def test_a_strong_pull_keeps_the_first_stage(digits, learned, fine_tuned):
    """In one shared head new classes win whatever the pull; but old weights stay, and more of the first stage."""
    _, scores = learned("ewc", digits, strength=1e6)
    assert sum(scores[:2]) > sum(fine_tuned[:2]) + 0.3


def test_per_stage_with_decay_is_refused():
    with pytest.raises(SettingsError, match=r"decay.*per-stage"):
        EWC.Settings(mode="per-stage", decay=0.9)


def test_state_survives(tiny_model, tiny_batch, tiny_stage):
    one = EWC(tiny_model(), EWC.Settings(mode="per-stage"))
    lived(one, tiny_batch, tiny_stage)
    other = EWC(one.model, EWC.Settings(mode="per-stage"))
    other.load_state_dict(join(*split(one.state_dict())))
    assert one.constant > 0
    assert torch.equal(other.penalty(), one.penalty())
