"""The family `shared-space`: the way into it, what of it stays, and what it is rebuilt from."""

from dataclasses import replace

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.adapters.base import ADAPTERS
from polymnia.layers.steps import resampled
from polymnia.models.shared_space import SharedSpace
from polymnia.randomness import drawing_from
from polymnia.training.checkpoint import digest, load_state, save_state

WIDTHS = {"audio": 5, "image": 6, "text": 4}
EXPERTS = {"name": "stage-experts", "experts": 3, "bottleneck": 4}
CODES = {"name": "multimodal-ema", "codes": 6, "decay": 0.9}


def outline(index: int, *new: str, widths: dict | None = None) -> Outline:
    names = tuple(sorted((*new, "text")))
    return Outline(index=index, name=f"stage {index}", task="pairing", modalities=names,
                   widths={m: WIDTHS.get(m, 3) for m in names} if widths is None else widths)  # fmt: skip


def space(*news: str, seed: int = 1, **settings) -> SharedSpace:
    """Return a space of width 8 that has grown by a stage for each new modality, and whose weights have moved since."""
    model = SharedSpace(
        SharedSpace.Settings(**{"width": 8, "steps": 3, "objective": "info-nce", **settings}), seed=seed
    )
    for index, new in enumerate(news):
        model.grow(outline(index, new))
        moved(model, index)
    return model.eval()


def moved(model: SharedSpace, seed: int) -> None:
    """Move what may be trained, as training does."""
    with torch.no_grad(), drawing_from(seed, "moved"):
        for p in model.trainable().values():
            p.add_(0.3 * torch.randn_like(p))


def batch(*names: str, rows: int = 4, seed: int = 0) -> Batch:
    with drawing_from(seed):
        values = {m: torch.randn(rows, 7, WIDTHS[m]) for m in sorted(WIDTHS)}
    return Batch({m: values[m] for m in names}, torch.arange(rows))


# into the space -----------------------------------------------------------------------------------------------


def test_output_has_sequences_their_means_and_what_they_are_made_of():
    model, given = space("image", adapter=EXPERTS), batch("text", "image")
    output = model(given)
    z, h, tokens = output.blocks
    assert output.logits.shape == (4, 0) and set(z) == set(h) == set(tokens) == {"image", "text"}
    for m in z:
        assert z[m].shape == h[m].shape == (4, 3, 8) and tokens[m].shape == (4, 3, WIDTHS[m])
        assert torch.equal(output.representations[m], z[m].mean(1))
        assert torch.equal(tokens[m], resampled(given.values[m], None, 3))
        assert torch.equal(h[m], model.projectors[m](tokens[m]))
    added = model.adapter(Batch(h, given.targets))
    assert all(torch.equal(z[m], h[m] + added[m]) and bool(added[m].any()) for m in z)


def test_encode_is_forward_of_one_modality():
    model, given = space("image", adapter=EXPERTS), batch("text", "image")
    output = model(given)
    for m in ("image", "text"):
        torch.testing.assert_close(model.encode(m, given.values[m]), output.blocks[0][m])


def test_without_an_adapter_z_is_h():
    z, h, _ = space("image")(batch("image", "text")).blocks
    assert all(torch.equal(z[m], h[m]) for m in z)


def test_a_modality_that_is_not_known_is_left_out_and_nothing_else_is_refused():
    model = space("image")
    assert set(model(batch("audio", "text")).representations) == {"text"}
    with pytest.raises(SettingsError, match=r"the batch has \['audio'\]; the model knows \['image', 'text'\]"):
        model(batch("audio"))
    with pytest.raises(SettingsError, match="does not know 'audio'; it knows"):
        model.stages("audio")


@pytest.mark.parametrize("settings", [{}, {"adapter": EXPERTS, "codebook": CODES}, {"path": "given", "steps": 1}])
def test_missing_rows_padding_and_order_change_nothing(settings):
    model, given = space("image", reconstruct=1.0, **settings), batch("image", "text", rows=6)
    has = torch.tensor([True, False, True, True, False, True])
    image, text = given.values["image"], given.values["text"]
    alone = model.predict(Batch({"image": image[has], "text": text[has]}, given.targets[has]))
    garbage = torch.where(has[:, None, None], image, float("nan"))
    padded = torch.cat([garbage, torch.full((6, 2, 6), 9.0)], 1)
    valid = torch.cat([has[:, None].expand(6, 7), torch.zeros(6, 2).bool()], 1)
    values = [{"image": garbage, "text": text}, {"text": text, "image": padded}]
    batches = [Batch(values[0], given.targets, {}, {"image": has}),
               Batch(values[1], given.targets, {"image": valid}, {"image": has})]  # fmt: skip
    outputs = [model(each) for each in batches]
    for output in outputs:
        assert all(bool(v.isfinite().all()) for block in output.blocks for v in block.values())
        for m, vectors in alone.representations.items():
            torch.testing.assert_close(output.representations[m][has], vectors)
        assert not output.representations["image"][~has].any()
        assert bool(output.representations["text"][~has].any(1).all())
    torch.testing.assert_close(model.losses(outputs[0]), model.losses(outputs[1]))
    torch.stack([*model.losses(outputs[0]).values()]).sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(bool(g.isfinite().all()) for g in gradients)


def test_similarity_is_the_cosine():
    one, other = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0]])
    torch.testing.assert_close(SharedSpace.similarity(one, other), torch.tensor([[0.0], [0.5**0.5]]))


# codes --------------------------------------------------------------------------------------------------------


def test_quantised_are_the_nearest_codes_that_the_modality_sees():
    model, given = space("image", codebook=CODES), batch("image", "text")
    found = model.quantised(given)
    for m, z in model(given).blocks[0].items():
        ids = torch.cdist(z, model.codebook.codes).argmin(-1)
        assert torch.equal(found[m].ids, ids) and torch.equal(found[m].vectors, model.codebook.codes[ids])
        assert torch.equal(model.quantise(m, z).ids, ids)


def test_without_a_codebook_nothing_is_quantised():
    model = space("image")
    assert model.quantised(batch("image")) == {}
    with pytest.raises(SettingsError, match=r"no codebook; set model\.codebook"):
        model.quantise("image", torch.zeros(1, 3, 8))


@pytest.mark.parametrize("restrict", [True, False])
def test_codes_that_come_later_are_not_seen_by_what_came_before(restrict):
    model = space("image", "audio", codebook=CODES, adapter=EXPERTS, freeze=True, restrict=restrict)
    given = batch("image")
    before = model.quantised(given)["image"]
    z = model(given).blocks[0]["image"]
    model.codebook.add(z.detach().reshape(-1, 8)[:5])  # codes on the spot
    model.codebook.ends = torch.tensor([6, 11])
    after = model.quantised(given)["image"]
    assert torch.equal(before.ids, after.ids) == restrict
    assert model.horizon("image") == (6 if restrict else None)
    assert model.horizon("text") is None and model.horizon("audio") is None


def test_a_modality_that_comes_back_sees_the_codes_of_its_last_stage():
    model = space("image", "audio", "image", codebook=CODES)
    assert model.stages("image") == [0, 2] and model.horizon("image") is None and model.horizon("audio") == 6
    model.codebook.add(torch.zeros(2, 8))
    model.codebook.ends = torch.tensor([6, 6, 8])
    model.grow(outline(3, "audio"))
    assert model.horizon("image") == 8 and model.horizon("audio") is None


def test_task_loss_moves_codes_in_training_only():
    model, given = space("image", codebook=CODES, reconstruct=1.0), batch("image", "text")
    output = model(given)
    before = digest(model.state_tree())
    total = model.task_loss(output)
    torch.testing.assert_close(total, torch.stack([*model.losses(output).values()]).sum())
    assert digest(model.state_tree()) == before
    model.train()
    model.task_loss(output, progress=0.5)
    assert int(model.draws) == 1 and digest(model.state_tree()) != before


def test_codes_move_by_the_rows_that_have_both():
    model, given = space("image", codebook=CODES), batch("image", "text", rows=5)
    has = torch.tensor([True, True, False, True, False])
    twin = model.rebuilt(model.state_tree())
    for each, one in ((model, Batch(given.values, given.targets, {}, {"image": has})), (twin, given.take(has))):
        each.train().task_loss(each(one))
    torch.testing.assert_close(model.codebook.codes, twin.codebook.codes)


def test_a_batch_of_one_modality_has_a_loss_of_0():
    model = space("image", codebook=CODES, contrast=0.0).train()
    lost = model.task_loss(model(batch("text")))
    assert lost.item() == 0.0 and lost.requires_grad


def test_a_weight_of_0_leaves_out_the_objective_s_weights():
    model = space("image", objective="cross-cpc", contrast=0.0, codebook=CODES)
    assert not any("objective" in name for name, _ in model.named_parameters())
    assert set(model.losses(model(batch("image", "text")))) == {"commit", "match"}


def test_what_experts_there_are_is_balanced():
    model = space("image", adapter={**EXPERTS, "balance": 0.5})
    output = model(batch("image", "text"))
    wanted = model.adapter.balance(Batch(output.blocks[1], output.targets))
    torch.testing.assert_close(model.losses(output)["balance"], wanted)
    assert float(wanted) > 0


# growth -------------------------------------------------------------------------------------------------------


def certificate(model: SharedSpace, *names: str, stage: int | None = None) -> str:
    given = batch(*names)
    return digest({m: model.encode(m, given.values[m], stage=stage) for m in names})


@pytest.mark.parametrize("adapter", ["stage-experts", "universal"])
def test_frozen_modalities_are_the_same_to_the_last_bit_after_later_stages(adapter):
    model = space("image", adapter=adapter, freeze=True)
    before, mediator = certificate(model, "image"), certificate(model, "text")
    for index, new in enumerate(("audio", "depth"), start=1):
        model.grow(outline(index, new))
        moved(model, index)
        assert certificate(model, "image") == before
        assert certificate(model, "text", stage=0) == mediator  # the old router
    assert (certificate(model, "text") == mediator) == (adapter == "universal")


def test_without_freezing_projectors_move():
    model = space("image")
    before = certificate(model, "image")
    model.grow(outline(1, "audio"))
    moved(model, 1)
    assert certificate(model, "image") != before


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("adapter", [None, "stage-experts", "universal"])
def test_a_mediator_that_stays_is_trained_in_the_first_stage_only(adapter, freeze):
    model = space(path="stays", adapter=adapter, freeze=freeze)
    model.grow(outline(0, "image"))
    before = certificate(model, "text")
    moved(model, 0)
    first = certificate(model, "text")
    assert first != before
    for index, new in enumerate(("audio", "image"), start=1):
        model.grow(outline(index, new))
        moved(model, index)
        assert certificate(model, "text") == first
        assert all(certificate(model, "text", stage=s) == first for s in range(index + 1))


def test_a_mediator_that_is_given_is_its_encoder():
    model, given = space("image", "audio", path="given", adapter=EXPERTS, width=99), batch("text", "image")
    z = model(given).blocks[0]
    assert model.width == 4 and z["image"].shape == (4, 3, 4)
    for stage in (None, 0, 1):
        assert torch.equal(
            model.encode("text", given.values["text"], stage=stage), resampled(given.values["text"], None, 3)
        )
    assert not any("text" in name for name, _ in model.named_parameters())


def test_a_mediator_that_grows_is_trained_in_every_stage():
    model = space("image", "audio", adapter=EXPERTS)
    assert certificate(model, "text") != certificate(model, "text", stage=0)


def test_growing_by_a_modality_that_is_there_keeps_its_projector():
    model = space("image", "image")
    assert len(model.projectors) == 2 and model.stages("text") == [0, 1]


# what is saved ------------------------------------------------------------------------------------------------


def whole() -> SharedSpace:
    """Return a space with every part, whose codebook has grown in its second stage."""
    model = space("image", "audio", adapter=EXPERTS, codebook={**CODES, "growth": "fixed", "added": 3},
                  objective="cross-cpc", reconstruct=1.0, information=0.1, freeze=True).train()  # fmt: skip
    for seed in range(3):
        model.task_loss(model(batch("audio", "text", seed=seed)))
    model.codebook.grow(torch.randn(20, 8, generator=torch.Generator().manual_seed(0)), seed=0)
    return model.eval()


def test_a_saved_model_is_rebuilt_with_the_codes_it_has_grown(tmp_path):
    model, given = whole(), batch("audio", "image", "text")
    assert model.codebook.sizes == {0: 6, 1: 9}
    save_state(tmp_path / "model", model.state_tree())
    other = model.rebuilt(load_state(tmp_path / "model")).eval()
    assert digest(other.state_tree()) == digest(model.state_tree()) and len(other.codebook) == 9
    assert other.trainable().keys() == model.trainable().keys()
    for m, found in model.quantised(given).items():
        again = other.quantised(given)[m]
        assert torch.equal(found.ids, again.ids) and torch.equal(found.vectors, again.vectors)
    for each in (model, other):
        each.train().task_loss(each(batch("audio", "text", seed=7)))
    assert digest(other.state_tree()) == digest(model.state_tree())


def test_the_same_seed_gives_the_same_model_and_another_does_not():
    states = [digest(space("image", "audio", seed=seed).state_tree()) for seed in (1, 1, 2)]
    assert states[0] == states[1] != states[2]


# what is refused ----------------------------------------------------------------------------------------------


def test_a_stage_of_pairs_without_the_mediator_is_refused():
    with pytest.raises(SettingsError, match=r"has image, text, and model.mediator is 'audio': .* stream.mediator"):
        space("image", mediator="audio")
    given = SharedSpace(SharedSpace.Settings(path="given", mediator="audio"))
    with pytest.raises(SettingsError, match=r"model\.mediator is 'audio'"):
        given.grow(replace(outline(0, "image"), task="classification"))


@pytest.mark.parametrize("name", ["pop", "training", "a.b", "", "get"])
def test_a_name_that_torch_keeps_is_refused(name):
    with pytest.raises(SettingsError, match="cannot name a modality"):
        space(name)


def test_a_width_that_is_not_known_is_refused():
    with pytest.raises(SettingsError, match="the width of modality 'image' is not known; encode it first"):
        SharedSpace().grow(outline(0, "image", widths={"text": 4}))


@pytest.mark.parametrize("settings, message", [
    ({"width": 0}, r"model.width: 0 is given, and at least 1"),
    ({"steps": 0}, r"model.steps: 0 is given, and at least 1"),
    ({"match": -1.0}, r"model.match: -1.0 is given, and at least 0"),
    ({"information": 0.1}, r"without model.reconstruct above 0"),
    ({"contrast": 0.0}, r"nothing to learn"),
    ({"adapter": "bottleneck", "path": "stays"}, r"'bottleneck' is trained in every stage.*stage-experts, universal"),
    ({"adapter": {"name": "stage-experts", "expert": 3}}, r"model.adapter.expert: no such setting"),
    ({"codebook": "multimodal"}, r"model.codebook.name: "),
])  # fmt: skip
def test_settings_that_do_not_fit_are_refused_before_training(settings, message):
    with pytest.raises(SettingsError, match=message):
        SharedSpace(SharedSpace.Settings(**settings))


def test_all_settings_of_the_parts_are_kept_with_the_model():
    settings = space(adapter="universal", objective=None, steps=1).settings
    assert settings.adapter == {"name": "universal", "layers": 1, "heads": 4, "hidden": 4, "dropout": 0.0}
    assert settings.objective["name"] == "info-nce"
    assert space(objective=None).settings.objective["name"] == "cross-cpc"


@pytest.mark.parametrize("name", [name for name in ADAPTERS if ADAPTERS.get(name).keeps])
def test_an_adapter_that_says_it_keeps_its_stages_can_be_told_by_stage(name):
    model = space("image", adapter=name, freeze=True)
    before = [certificate(model, m) for m in ("image", "text")]
    for index in (1, 2):
        model.grow(outline(index, "image"))
        moved(model, index)
        assert [certificate(model, m, stage=0) for m in ("image", "text")] == before
