"""Prompts before what a host reads: where they stand, by what they are chosen, and what they learn."""

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.hosts.texts import padded
from polymnia.hosts.unified import as_tokens
from polymnia.layers.prompts.base import PROMPTS
from polymnia.models.language_model import LanguageModel
from polymnia.models.sampling import Sampling
from polymnia.models.unified_model import UnifiedModel

SMALL = {"l2p": {"pool": 4, "length": 2, "top": 2}, "dualprompt": {"general": 2, "expert": 3},
         "coda-prompt": {"components": 3, "length": 2}}  # fmt: skip
every = pytest.mark.parametrize("name", sorted(SMALL))


@pytest.fixture
def make(tiny_unified):
    """Return a function that makes a model over the tiny host with prompts, grown by so many stages."""

    def made(name, stages=1, **settings):
        prompts = {"name": name, **SMALL[name]}
        given = {"host": "words", "most": 6, "delta": None, "prompts": prompts, **settings}
        model = UnifiedModel(UnifiedModel.Settings(**given))
        model.host = tiny_unified
        for index in range(stages):
            model.grow(Outline(index=index, name=str(index), modalities=("image",), widths={"image": 2}))
        with torch.no_grad():  # as large as the host's tokens, so that they can be seen to count
            for p in model.prompts.parameters():
                p.mul_(5)
        return model.eval()

    return made


def batch(model, texts, answers, *, draws):
    random, tokeniser = torch.Generator().manual_seed(0), model.loaded.tokeniser
    codes = torch.randint(8, (len(texts), 4), generator=random)
    columns = {
        "prompt": padded([tokeniser.prompt(text) for text in texts]),
        "answer": padded([tokeniser.answer(text) if text else [] for text in answers]),
        "draws": torch.tensor(draws).long()[:, None],
    }
    return Batch({"image": as_tokens(codes)}, torch.full((len(texts),), -1), columns=columns)


TEXTS, ANSWERS, DRAWS = ["what colour is it ?", "draw a red star", "describe"], ["red", "", "a dot"], [0, 1, 0]


def test_every_kind_of_prompts_is_tried():
    assert set(SMALL) == set(PROMPTS)


@every
def test_prompts_stand_before_a_question_and_before_pictures_that_are_read(name, make):
    model = make(name)
    given = batch(model, TEXTS, ANSWERS, draws=DRAWS)
    long = model.sequence(given).valid.sum(1)
    held, model.prompts = model.prompts, None
    short = model.sequence(given).valid.sum(1)
    model.prompts = held
    more = {"l2p": 4, "dualprompt": 5, "coda-prompt": 2}[name]
    assert (long - short).tolist() == [2 * more, more, 2 * more]


@every
def test_company_order_and_padding_change_nothing(name, make):
    model = make(name)
    given = batch(model, TEXTS, ANSWERS, draws=DRAWS)
    output = model.predict(given)
    assert output.targets.tolist()[2:6] == (given.values["image"][1, :, 1].long() + model.unified.vocabulary).tolist()
    for row, expected in enumerate(output.logits.split([2, 4, 3])):
        assert model.predict(given.take(torch.tensor([row]))).logits.allclose(expected, atol=1e-5)
    assert model.answer(given)[2] == model.answer(given.take(torch.tensor([2])))[0]


@every
def test_what_is_drawn_is_what_the_logits_say(name, make):
    model = make(name, drawing=Sampling(temperature=0.0))
    given = batch(model, TEXTS[:2], ["", ""], draws=[1, 1])
    codes = model.draw(given, random=torch.Generator())
    given.values["image"] = as_tokens(codes)
    said = model.predict(given).logits[:, model.unified.vocabulary :]
    assert said.argmax(-1).tolist() == codes.flatten().tolist()


@every
def test_texts_are_the_likeliest_tokens(name, make):
    model = make(name)
    given = batch(model, TEXTS, ANSWERS, draws=DRAWS)
    written, ids = model.answer(given)[0], []
    for _ in range(6):  # without keys and values kept, the whole sequence anew
        one = given.take(torch.tensor([0]))
        one.columns["answer"] = torch.tensor([[*ids, 5]])
        ids.append(int(model.predict(one).logits[-1].argmax()))
    assert written == model.loaded.tokeniser.text(ids)


@every
def test_prompts_learn_and_the_host_does_not(name, make):
    model = make(name, stages=2).train()
    output = model(batch(model, TEXTS, ANSWERS, draws=DRAWS))
    assert output.losses and not model._of_prompts
    model.task_loss(output).backward()
    assert all(p.grad is not None for p in model.trainable().values())
    assert any(bool(p.grad.any()) for p in model.trainable().values())
    assert all(path.startswith("prompts.") for path in model.trainable())
    assert all(p.grad is None for p in model.loaded.network.parameters())
    twin = model.rebuilt(model.state_tree()).eval()
    given = batch(model, TEXTS, ANSWERS, draws=DRAWS)
    assert torch.equal(twin.predict(given).logits, model.frozen_copy().predict(given).logits)


def test_a_stage_is_told_by_what_is_asked(make):
    model = make("dualprompt", stages=2)
    given = batch(model, ["draw a red star", "describe"], ["", ""], draws=[1, 1])
    ids = given.columns["prompt"]
    queries = [model.loaded.embed(row[row >= 0][None]).mean(1)[0] for row in ids]
    experts = model.prompts.experts["asked"]
    with torch.no_grad():
        for expert, query in zip(experts, queries, strict=True):
            expert.key.copy_(query)
    read = {"asked": (model.loaded.embed(ids), ids >= 0)}
    tokens, valid = model.prompted(read)
    for row in range(2):
        assert torch.equal(tokens[row, -3:], experts[row].prompts[0])
    assert bool(valid.all())


@every
def test_a_language_model_has_them_too(name, tiny_lm):
    host = {"name": "checkpoint", "path": str(tiny_lm)}
    settings = LanguageModel.Settings(host=host, delta=None, prompts={"name": name, **SMALL[name]}, most=4)
    model = LanguageModel(settings)
    for index in range(2):
        model.grow(Outline(index=index, name=str(index), modalities=("image",), widths={"image": 3}))
    tokeniser = model.loaded.tokeniser
    columns = {
        "prompt": padded([tokeniser.prompt(text) for text in ("what colour is it ?", "describe")]),
        "answer": padded([tokeniser.answer(text) for text in ("red", "a dot")]),
    }
    given = Batch({"image": torch.randn(2, 2, 3)}, torch.full((2,), -1), columns=columns)
    output = model.eval().predict(given)
    assert output.targets.tolist() == [*tokeniser.answer("red"), *tokeniser.answer("a dot")]
    alone = torch.cat([model.predict(given.take(torch.tensor([row]))).logits for row in range(2)])
    assert alone.allclose(output.logits, atol=1e-5)
    model.train()
    model.task_loss(model(given)).backward()
    assert any(bool(p.grad.any()) for p in model.prompts.parameters() if p.grad is not None)
