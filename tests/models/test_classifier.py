from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.fusion import FUSIONS
from polymnia.layers.heads import HEADS
from polymnia.layers.projectors import PROJECTORS
from polymnia.methods.fisher import fisher_diagonal, log_likelihood
from polymnia.models.classifier import Classifier

WIDTHS = {"a": 3, "b": 5, "c": 4}
PARTS = list(product(FUSIONS.names(), HEADS.names(), PROJECTORS.names()))
every_composition = pytest.mark.parametrize(("fusion", "head", "projector"), PARTS, ids=["-".join(p) for p in PARTS])


def outline(index, modalities=("a", "b", "c"), classes=(0, 1, 2)):
    return Outline(index=index, name=str(index), modalities=modalities, classes=classes,
                   widths={m: WIDTHS[m] for m in modalities})  # fmt: skip


def made(*outlines, seed=0, **parts):
    """Return a model of which no weight is as it was initialised."""
    model = Classifier(Classifier.Settings(width=6, **parts), seed=seed)
    for one in outlines or (outline(0),):
        model.grow(one)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def batched(has, seed=0, tokens=1):
    """Return a batch whose rows have the modalities that `has` (B, M) says, zeros elsewhere."""
    random, present = torch.Generator().manual_seed(seed), torch.tensor(has)
    values = {m: torch.randn(len(has), tokens, d, generator=random) for m, d in WIDTHS.items()}
    masks = dict(zip(WIDTHS, present.T, strict=True))
    values = {m: v * masks[m][:, None, None] for m, v in values.items()}
    return Batch(values, torch.arange(len(has)) % 3, dict.fromkeys(WIDTHS), masks)


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


presence = st.lists(st.tuples(*[st.booleans()] * 3).filter(any), min_size=1, max_size=5)


@every_composition
def test_missing_padding_order_and_company_do_not_matter(fusion, head, projector):
    model = made(fusion=fusion, head=head, projector=projector)

    @settings(max_examples=6)
    @given(presence, st.integers(0, 9), st.randoms(use_true_random=False))
    def check(has, seed, random):
        batch = batched(has, seed)
        logits = model.predict(batch).logits
        order = random.sample(range(len(has)), len(has))
        close(model.predict(batch.take(torch.tensor(order))).logits, logits[order])  # order of rows
        names = random.sample(sorted(WIDTHS), 3)
        turned = Batch({m: batch.values[m] for m in names}, batch.targets, {}, {m: batch.present[m] for m in names})
        assert torch.equal(model.predict(turned).logits, logits)  # order of modalities
        longer = Batch(
            {m: torch.cat([v, torch.full_like(v, 3.0)], 1) for m, v in batch.values.items()}, batch.targets,
            {m: torch.tensor([[True, False]]).expand(len(has), 2) for m in WIDTHS}, batch.present,
        )  # fmt: skip
        close(model.predict(longer).logits, logits)  # padding
        filled = {m: torch.where(batch.has(m)[:, None, None], v, 9.0) for m, v in batch.values.items()}
        close(model.predict(Batch(filled, batch.targets, {}, batch.present)).logits, logits)  # missing places
        for row, there in enumerate(has):  # a sample with some modalities is that sample alone
            alone = batch.take(slice(row, row + 1)).only([m for m, one in zip(WIDTHS, there, strict=True) if one])
            alone.present = {}
            close(model.predict(alone).logits[0], logits[row])

    check()


@every_composition
def test_growth_leaves_old_outputs_and_a_rebuilt_model_is_the_same_bit_for_bit(fusion, head, projector):
    model = made(outline(0, ("a", "b")), fusion=fusion, head=head, projector=projector)
    batch = batched([(True, True, False), (False, True, False)]).only(["a", "b"])
    before, weights = model.predict(batch), {n: p.clone() for n, p in model.named_parameters()}
    model.grow(outline(1, ("b", "c"), (3, 4)))
    after = model.predict(batch)
    assert torch.equal(after.representations["joint"], before.representations["joint"])
    close(after.logits[:, :3], before.logits)
    for name, p in model.named_parameters():
        if name in weights:
            assert torch.equal(p[tuple(slice(0, n) for n in weights[name].shape)], weights[name])
    whole = batched([(True, True, True), (False, False, True)])
    twin = model.rebuilt(model.state_tree())
    assert torch.equal(twin.predict(whole).logits, model.predict(whole).logits)
    assert [o.to_json() for o in twin.grown] == [o.to_json() for o in model.grown]


@every_composition
@pytest.mark.parametrize("has", [[(True, True, True)] * 5, [(True, False, True), (False, True, False)] * 3])
def test_fisher_is_that_of_a_loop_over_samples(fusion, head, projector, has):
    model, batch = made(fusion=fusion, head=head, projector=projector, hidden=(4,)), batched(has)
    fisher = fisher_diagonal(model, [batch.take(slice(0, 2)), batch.take(slice(2, None))])
    model.eval()
    for name, p in model.named_parameters():
        squares = []
        for row in range(len(has)):
            (gradient,) = torch.autograd.grad(log_likelihood(model(batch.take(slice(row, row + 1)))), p)
            squares.append(gradient.square())
        torch.testing.assert_close(fisher[name], torch.stack(squares).mean(0), rtol=1e-4, atol=1e-7)


def test_representations_are_named():
    output = made().predict(batched([(True, True, True)] * 2))
    assert sorted(output.representations) == ["a", "b", "c", "joint"]
    assert all(r.shape == (2, 6) for r in output.representations.values())
    torch.testing.assert_close(output.representations["joint"],
                               torch.stack([output.representations[m] for m in "abc"]).mean(0))  # fmt: skip


def test_a_modality_that_the_model_does_not_know_is_left_out_and_nothing_known_is_an_error():
    model = made(outline(0, ("a",)))
    batch = batched([(True, True, True)] * 2)
    close(model.predict(batch).logits, model.predict(batch.only(["a"])).logits)
    with pytest.raises(SettingsError, match=r"\['b'\].*knows \['a'\]"):
        model.predict(batch.only(["b"]))


def test_classes_that_come_back_need_no_growth():
    model = made(outline(0, classes=(0, 1, 2)), outline(1, classes=(1,)))
    assert model.predict(batched([(True, True, True)])).logits.shape == (1, 3)


def test_width_must_be_known():
    with pytest.raises(SettingsError, match="width of modality 'a' is not known"):
        Classifier().grow(Outline(index=0, name="first", modalities=("a",), classes=(0,)))


@pytest.mark.parametrize("name", ["", "sound.left", "keys", "type"])
def test_names_that_torch_keeps_for_itself_are_refused(name):
    with pytest.raises(SettingsError, match="cannot name a modality"):
        Classifier().grow(Outline(index=0, name="first", modalities=(name,), classes=(0,), widths={name: 3}))
