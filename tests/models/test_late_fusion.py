from itertools import product

import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.heads import HEADS
from polymnia.layers.projectors import PROJECTORS
from polymnia.methods.base import METHODS
from polymnia.methods.fisher import fisher_diagonal, log_likelihood
from polymnia.models.late_fusion import LateFusion, log_of_mean
from polymnia.randomness import Randomness
from polymnia.state import join, split
from polymnia.training.checkpoint import digest
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

WIDTHS = {"a": 3, "b": 5, "c": 4}
PARTS = list(product(HEADS.names(), PROJECTORS.names()))
every_composition = pytest.mark.parametrize(("head", "projector"), PARTS, ids=["-".join(p) for p in PARTS])


def outline(index, modalities=("a", "b", "c"), classes=(0, 1, 2)):
    return Outline(index=index, name=str(index), modalities=modalities, classes=classes,
                   widths={m: WIDTHS[m] for m in modalities})  # fmt: skip


def made(*outlines, seed=0, **parts):
    """Return a model of which no weight is as it was initialised."""
    model = LateFusion(LateFusion.Settings(width=6, **parts), seed=seed)
    for one in outlines or (outline(0),):
        model.grow(one)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def batched(has, seed=0):
    """Return a batch whose rows have the modalities that `has` (B, M) says, zeros elsewhere."""
    random, present = torch.Generator().manual_seed(seed), torch.tensor(has)
    masks = dict(zip(WIDTHS, present.T, strict=True))
    values = {m: torch.randn(len(has), 1, d, generator=random) * masks[m][:, None, None] for m, d in WIDTHS.items()}
    return Batch(values, torch.arange(len(has)) % 3, dict.fromkeys(WIDTHS), masks)


GAPS = [(True, False, True), (False, True, False), (True, True, True), (False, False, True), (True, True, False)]


@torch.no_grad()
def alone(model, batch, modality):
    """Return log-probabilities (B, K) of one modality's own classifier."""
    return log_softmax(model.heads[modality](model.predict(batch).representations[modality]), 1)


def test_logits_are_the_log_of_the_mean_probability_of_those_that_are_there():
    model, batch = made(), batched(GAPS)
    logits = model.predict(batch).logits
    each = torch.stack([alone(model, batch, m).exp() for m in "abc"], 1)
    for row, has in enumerate(GAPS):
        torch.testing.assert_close(logits[row].exp(), each[row][torch.tensor(has)].mean(0))


@every_composition
def test_missing_padding_order_and_company_do_not_matter(head, projector):
    model, batch = made(head=head, projector=projector), batched(GAPS)
    logits = model.predict(batch).logits
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(model.predict(batch.take(order)).logits, logits[order])
    filled = {m: torch.where(batch.has(m)[:, None, None], v, 9.0) for m, v in batch.values.items()}
    torch.testing.assert_close(model.predict(Batch(filled, batch.targets, {}, batch.present)).logits, logits)
    longer = Batch(
        {m: torch.cat([v, torch.full_like(v, 3.0)], 1) for m, v in reversed(batch.values.items())}, batch.targets,
        {m: torch.tensor([[True, False]]).expand(5, 2) for m in WIDTHS}, batch.present,
    )  # fmt: skip
    torch.testing.assert_close(model.predict(longer).logits, logits)
    for row, has in enumerate(GAPS):
        one = batch.take(slice(row, row + 1)).only([m for m, there in zip(WIDTHS, has, strict=True) if there])
        one.present = {}
        torch.testing.assert_close(model.predict(one).logits[0], logits[row])


@every_composition
@torch.no_grad()
def test_growth_leaves_every_head_and_representation_bit_for_bit(head, projector):
    model = made(outline(0, ("a", "b")), head=head, projector=projector)
    batch = batched([(True, True, False), (False, True, False)]).only(["a", "b"])
    before = model.predict(batch).representations
    old = {m: model.heads[m](before[m]) for m in "ab"}
    model.grow(outline(1, ("b", "c"), (3, 4)))
    after = model.predict(batch)
    assert after.logits.shape == (2, 5)
    for m in (*"ab", "joint"):
        assert torch.equal(after.representations[m], before[m])
    for m in "ab":  # also a's head has grown, though the stage has no a
        torch.testing.assert_close(model.heads[m](after.representations[m])[:, :3], old[m])
    torch.testing.assert_close(after.logits.exp().sum(1), torch.ones(2))
    twin = model.rebuilt(join(*split(model.state_tree())))
    assert torch.equal(twin.predict(batch).logits, after.logits)


@every_composition
def test_fisher_is_that_of_a_loop_over_samples(head, projector):
    model, batch = made(head=head, projector=projector, hidden=(4,)), batched(GAPS)
    fisher = fisher_diagonal(model, [batch])
    model.eval()
    for name, p in model.named_parameters():
        squares = []
        for row in range(len(batch)):
            (gradient,) = torch.autograd.grad(log_likelihood(model(batch.take(slice(row, row + 1)))), p)
            squares.append(gradient.square())
        torch.testing.assert_close(fisher[name], torch.stack(squares).mean(0), rtol=1e-4, atol=1e-7)


def test_each_modality_is_trained_by_its_own_loss_too():
    model, batch = made(own=0.5), batched(GAPS)
    batch.targets[0] = -1
    output = model(batch)
    assert sorted(output.losses) == ["own, a", "own, b", "own, c"]
    for column, m in enumerate("abc"):
        rows = [row for row in range(1, 5) if GAPS[row][column]]
        wanted = 0.5 * sum(-alone(model, batch, m)[row, batch.targets[row]] for row in rows) / 5
        torch.testing.assert_close(output.losses[f"own, {m}"], wanted)
    whole = cross_entropy(output.logits, batch.targets, ignore_index=-1) + sum(output.losses.values())
    torch.testing.assert_close(model.task_loss(output), whole)
    assert made(own=0.0)(batch).losses == {}


def test_the_own_losses_touch_nothing_of_another_modality():
    model, batch = made(), batched(GAPS)
    model(batch).losses["own, a"].backward()
    for name, p in model.named_parameters():
        assert (p.grad is not None and bool(p.grad.abs().sum() > 0)) == (".a." in name), name


def test_own_losses_of_two_halves_average_to_that_of_the_whole():
    """What several processes rely on, which share the rows."""
    model, batch = made(), batched(GAPS[:4])
    whole = model(batch).losses
    halves = [model(batch.take(slice(at, at + 2))).losses for at in (0, 2)]
    for name, loss in whole.items():
        torch.testing.assert_close((halves[0][name] + halves[1][name]) / 2, loss)


def test_a_sample_without_anything_is_uniform_with_a_gradient_that_is_a_number():
    logs = torch.randn(2, 2, 4, requires_grad=True)
    result = log_of_mean(logs.log_softmax(2), torch.tensor([[False, False], [True, False]]))
    torch.testing.assert_close(result[0].exp(), torch.full((4,), 0.25))
    result.sum().backward()
    assert bool(logs.grad.isfinite().all())


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_works_with_it_and_goes_on_from_a_saved_state(name, digits_with_gaps):
    kind = METHODS.get(name)
    try:
        kind(LateFusion())
    except SettingsError as error:  # it needs blocks, views or experts, and says so before training
        assert "'late-fusion'" in str(error)
        return

    def learner():
        settings = kind.Settings(**({"features": 40} if name.startswith("ranpac") else {}))
        method = kind(LateFusion(LateFusion.Settings(width=16)), settings, randomness=Randomness(0))
        return Trainer(method, TrainerSettings(epochs=1, batch_size=64, lr=0.01, accelerator="cpu", count_flops=False))

    def learn(trainer, stages):
        for stage in stages:
            trainer.method.model.grow(stage)
            trainer.fit(stage)

    stages, whole, stopped, resumed = digits_with_gaps.stages[:2], learner(), learner(), learner()
    learn(whole, stages)
    learn(stopped, stages[:1])
    resumed.load_state_dict(join(*split(stopped.state_dict(inside=False))), inside=False)
    learn(resumed, stages[1:])
    assert digest(resumed.method.model.state_tree()) == digest(whole.method.model.state_tree())
    test = stages[1].test.batch(torch.arange(40))
    logits = whole.method.predict(test).logits
    assert bool(logits.isfinite().all())
    assert float((logits[:, 2:].argmax(1) + 2 == test.targets).float().mean()) > 0.75  # of the stage's two classes


def test_what_it_cannot_take_is_said():
    model = made(outline(0, ("a",)))
    with pytest.raises(SettingsError, match=r"\['b'\].*knows \['a'\]"):
        model.predict(batched(GAPS).only(["b"]))
    with pytest.raises(SettingsError, match="width of modality 'a' is not known"):
        LateFusion().grow(Outline(index=0, name="first", modalities=("a",), classes=(0,)))
    with pytest.raises(SettingsError, match="cannot name a modality"):
        LateFusion().grow(Outline(index=0, name="0", modalities=("keys",), classes=(0,), widths={"keys": 3}))
    with pytest.raises(SettingsError, match="own: -1"):
        LateFusion.Settings(own=-1.0)
