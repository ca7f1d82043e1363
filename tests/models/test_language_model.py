"""The language model family: what is a row, what is masked, what is shared and what is written."""

import copy

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.models.language_model import LanguageModel


@pytest.fixture
def make(tiny_lm):
    """Return a function that makes a grown model over the tiny host."""

    def made(modalities=("image",), **settings):
        given = {"host": {"name": "checkpoint", "path": str(tiny_lm)}, "most": 6, **settings}
        model = LanguageModel(LanguageModel.Settings(**given))
        widths = dict.fromkeys(modalities, 3)
        model.grow(Outline(index=0, name="one", task="captioning", modalities=modalities, widths=widths))
        return model

    return made


def batch(model, texts, answers=None, *, modality="image", steps=2, seed=0):
    """Return a batch of one modality, prompts and answers."""
    from polymnia.hosts.texts import padded

    n, tokeniser = len(texts), model.loaded.tokeniser
    values = torch.randn(n, steps, 3, generator=torch.Generator().manual_seed(seed))
    columns = {"prompt": padded([tokeniser.prompt(text) for text in texts])}
    if answers is not None:
        columns["answer"] = padded([tokeniser.answer(text) for text in answers])
    return Batch({modality: values}, torch.full((n,), -1), columns=columns)


def learned(model):
    """Give the deltas and bridges values that are not those of a new model."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return model


def test_a_row_is_a_token_of_an_answer(make):
    model = make()
    given = batch(model, ["what colour is it ?", "describe"], ["red", "a blue star"])
    output = model.predict(given)
    ids = model.loaded.tokeniser
    assert output.targets.tolist() == [*ids.answer("red"), *ids.answer("a blue star")]
    assert output.logits.shape == (2 + 4, model.loaded.vocabulary)


def test_rows_are_what_the_host_says_of_the_same_tokens(make):
    model = learned(make())
    given = batch(model, ["what colour is it ?"], ["a blue star"])
    output = model.predict(given)
    host = model.loaded
    prefix = torch.cat([host.embed(torch.tensor([host.tokeniser.ids(" image: ")])), model.bridges["image"](
        given.values["image"], given.mask("image"))[0]], 1)  # fmt: skip
    written = torch.cat([given.columns["prompt"], given.columns["answer"]], 1)
    whole = torch.cat([prefix, host.embed(written)], 1)
    with torch.no_grad(), model._carried(given):
        logits = host.network(inputs_embeds=whole).logits[0, -given.columns["answer"].shape[1] - 1 : -1]
    torch.testing.assert_close(output.logits, logits)


def test_padding_order_and_company_change_nothing(make):
    model = learned(make())
    given = batch(model, ["what colour is it ?", "describe"], ["red", "a blue star"])
    together = model.predict(given)
    alone = [model.predict(given.take(slice(i, i + 1))) for i in range(2)]
    torch.testing.assert_close(together.logits, torch.cat([one.logits for one in alone]), atol=1e-5, rtol=1e-4)
    written = model.answer(given)
    assert written == [model.answer(given.take(slice(i, i + 1)))[0] for i in range(2)]
    assert written == model.answer(given.take(torch.tensor([1, 0])))[::-1]
    longer = Batch(
        {"image": torch.nn.functional.pad(given.values["image"], (0, 0, 0, 3), value=7.0)},
        given.targets,
        {"image": torch.tensor([[True, True, False, False, False]] * 2)},
        columns=given.columns,
    )
    torch.testing.assert_close(model.predict(longer).logits, together.logits, atol=1e-5, rtol=1e-4)
    assert model.answer(longer) == written


def test_a_text_does_not_depend_on_the_right_answer(make):
    model = learned(make())
    given = batch(model, ["describe"], ["a red star"])
    other = batch(model, ["describe"], ["the blue dot"])
    assert model.answer(given) == model.answer(other) == model.answer(batch(model, ["describe"]))


def test_greedy_writing_is_the_likeliest_token_each_time(make):
    model = learned(make())
    given = batch(model, ["describe"])
    [text] = model.answer(given)
    ids: list[int] = []
    for _ in range(6):
        asked = Batch(given.values, given.targets, columns={**given.columns, "answer": torch.tensor([[*ids, 0]])})
        ids.append(int(model.predict(asked).logits[-1].argmax()))
    assert text == model.loaded.tokeniser.text(ids)


def test_several_modalities_in_one_batch(make):
    model = learned(make(("image", "sound")))
    image = batch(model, ["describe"], ["red"])
    sound = batch(model, ["what is it ?"], ["a dot"], modality="sound", steps=4, seed=1)
    both = image.join(sound)
    apart = torch.cat([model.predict(image).logits, model.predict(sound).logits])
    torch.testing.assert_close(model.predict(both).logits, apart, atol=1e-5, rtol=1e-4)
    assert model.answer(both) == [*model.answer(image), *model.answer(sound)]


def test_a_new_model_is_the_host(make):
    model, bare = make(), make(delta=None)
    given = batch(model, ["describe"], ["red"])
    bare.bridges.load_state_dict(model.bridges.state_dict())
    assert torch.equal(model.predict(given).logits, bare.predict(given).logits)
    assert not bare.deltas and set(bare.state_dict()) == {name for name in model.state_dict() if "bridges" in name}


def test_a_teacher_shares_the_host_and_keeps_its_own_deltas(make):
    model = learned(make())
    given = batch(model, ["describe"], ["a red star"])
    before = {name: p.clone() for name, p in model.loaded.network.named_parameters()}
    teacher, wanted = model.frozen_copy(), model.predict(given).logits.clone()
    assert teacher.loaded is model.loaded
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    model.task_loss(model(given)).backward()
    optimiser.step()
    assert torch.equal(teacher.predict(given).logits, wanted)
    assert not torch.equal(model.predict(given).logits, wanted)
    assert all(torch.equal(p, before[name]) for name, p in model.loaded.network.named_parameters())
    assert sum(p.numel() for p in teacher.parameters()) == sum(p.numel() for p in model.parameters())


def test_the_loss_sees_answers_alone(make):
    model = learned(make())
    given = batch(model, ["describe"], ["a red star"])
    loss = model.task_loss(model(given))
    changed = copy.deepcopy(given)
    changed.columns["answer"][0, 1] = 0
    assert model.task_loss(model(changed)) != loss
    assert model(given).targets.tolist() == model.loaded.tokeniser.answer("a red star")


def test_a_saved_model_is_rebuilt(make):
    model = learned(make())
    given = batch(model, ["describe"], ["a red star"])
    twin = model.rebuilt(model.state_tree())
    assert torch.equal(twin.predict(given).logits, model.predict(given).logits)
    assert twin.loaded is model.loaded


def test_text_alone_is_continued(make):
    model = learned(make())
    ids = torch.tensor([model.loaded.tokeniser.prompt("what is it"), [*model.loaded.tokeniser.prompt("a"), -1, -1]])
    together = model.continued(ids)
    assert together.shape == (4 + 2, model.loaded.vocabulary)
    torch.testing.assert_close(together[4:], model.continued(ids[1:, :2]), atol=1e-5, rtol=1e-4)


def test_a_seen_bridge_may_stay_as_it_was(make):
    model = make(freeze_seen=True)
    again = Outline(index=1, name="two", task="answering", modalities=("image",), widths={"image": 3})
    model.grow(again)
    assert not any(p.requires_grad for p in model.bridges.parameters())
    assert all(p.requires_grad for p in model.deltas.parameters())


def test_without_a_prompt_it_says_what_is_missing(make):
    model = make()
    with pytest.raises(SettingsError, match="answers prompts, and the batch has none"):
        model.predict(Batch({"image": torch.zeros(1, 1, 3)}, torch.tensor([0])))
