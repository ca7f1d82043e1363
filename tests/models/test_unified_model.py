"""The unified family: what is a row, what kind a token is, what padding cannot change, and what is drawn."""

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.hosts.texts import padded
from polymnia.hosts.unified import as_codes, as_tokens
from polymnia.models.sampling import Sampling
from polymnia.models.unified_model import UnifiedModel


@pytest.fixture
def make(tiny_unified):
    """Return a function that makes a grown model over the tiny host."""

    def made(**settings):
        model = UnifiedModel(UnifiedModel.Settings(**{"host": "words", "most": 6, **settings}))
        model.host = tiny_unified
        model.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": 2}))
        return model

    return made


def batch(model, texts, answers=None, *, draws=None, seed=0):
    """Return a batch of pictures, prompts and answers; those that are drawn have no answer."""
    random, tokeniser = torch.Generator().manual_seed(seed), model.loaded.tokeniser
    draws = [False] * len(texts) if draws is None else draws
    codes = torch.randint(model.unified.codes, (len(texts), model.unified.length), generator=random)
    columns = {
        "prompt": padded([tokeniser.prompt(text) for text in texts]),
        "draws": torch.tensor(draws).long()[:, None],
    }
    if answers is not None:
        rows = zip(answers, draws, strict=True)
        columns["answer"] = padded([[] if drawn else tokeniser.answer(text) for text, drawn in rows])
    return Batch({"image": as_tokens(codes)}, torch.full((len(texts),), -1), columns=columns)


def learned(model):
    """Give the deltas values that are not those of a new model."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return model


def test_a_row_is_a_token_that_is_produced(make):
    model = make()
    given = batch(model, ["what colour is it ?", "draw a red star"], ["red", ""], draws=[False, True])
    output = model.predict(given)
    v, codes = model.unified.vocabulary, as_codes(given.values["image"])[1]
    assert output.targets.tolist() == [*model.loaded.tokeniser.answer("red"), *(v + codes).tolist()]
    assert output.logits.shape == (2 + 4, v + 8)
    shares = output.logits.softmax(-1)
    assert float(shares[:2, v:].sum()) == 0 and float(shares[2:, :v].sum()) == 0
    assert not shares[:2, model.unified.ids].any() and shares[2:].sum(-1).allclose(torch.ones(4))


def test_rows_are_what_the_host_says_of_the_same_tokens(make, tiny_unified):
    model = learned(make(delta=None))
    given = batch(model, ["what colour is it ?", "draw a red star"], ["a dot", ""], draws=[False, True])
    (read, drawn), host = as_codes(given.values["image"]), tiny_unified
    tokeniser, n = host.tokeniser, host.vocabulary - 10
    sequences = [
        [1, n, *(n + 2 + read).tolist(), n + 1, *tokeniser.ids("what colour is it ?"), *tokeniser.answer("a dot")],
        [*tokeniser.prompt("draw a red star"), n, *(n + 2 + drawn).tolist()],
    ]
    said = model.predict(given).logits
    expected = [host.network(input_ids=torch.tensor([ids])).logits[0] for ids in sequences]
    words, codes = expected[0][-4:-1, :n], expected[1][-5:-1, n + 2 :]
    assert said[:3, :n].allclose(words, atol=1e-5) and said[3:, host.vocabulary :].allclose(codes, atol=1e-5)


def test_padding_company_and_order_change_nothing(make):
    model = learned(make())
    texts, answers = ["what colour is it ?", "draw a red star", "describe"], ["red", "", "a blue star"]
    given = batch(model, texts, answers, draws=[False, True, False])
    together = model.predict(given).logits.split([2, 4, 4])
    for row, expected in enumerate(together):
        alone = model.predict(given.take(torch.tensor([row]))).logits
        assert alone.allclose(expected, atol=1e-5)
    turned = model.predict(given.take(torch.tensor([2, 1, 0]))).logits.split([4, 4, 2])
    assert all(a.allclose(b, atol=1e-5) for a, b in zip(turned, reversed(together), strict=True))


def test_kinds_are_told_by_token_or_by_what_is_produced(make):
    def kinds(model, draws, *, training=False):
        given = batch(model, ["is it"], [""] if draws else ["red"], draws=[draws])
        return model.train(training).sequence(given).kinds[0].tolist()

    begin, picture, prompt, answer = [0], [1] * 6, [0] * 2, [0] * 2  # marks count as the picture's
    by_token = make(route_text="token", route_image="token")
    assert kinds(by_token, False) == kinds(by_token, False, training=True) == begin + picture + prompt + answer
    assert kinds(by_token, True) == begin + prompt + picture[:-1]
    by_output = make(route_text="output", route_image="output")
    assert (
        kinds(by_output, False) == [0] * 11
        and kinds(by_output, False, training=True) == begin + picture + prompt + answer
    )
    assert kinds(by_output, True) == kinds(by_output, True, training=True) == [1] * 8


def test_answers_are_the_likeliest_tokens(make):
    model = learned(make())
    texts = ["what colour is it ?", "describe"]
    written = model.answer(batch(model, texts))
    one_by_one = [model.answer(batch(model, texts).take(torch.tensor([row])))[0] for row in range(2)]
    assert written == one_by_one
    ids: list[int] = []
    for _ in range(6):  # without keys and values kept, the whole sequence anew
        given = batch(model, texts).take(torch.tensor([0]))
        given.columns["answer"] = torch.tensor([[*ids, 5]])
        ids.append(int(model.predict(given).logits[-1].argmax()))
    assert written[0] == model.loaded.tokeniser.text(ids)


def test_pictures_are_drawn_as_their_logits_say(make):
    model = learned(make(drawing=Sampling(temperature=0.0)))
    given = batch(model, ["draw a red star", "a dot"], draws=[True, True])
    codes = model.draw(given, random=torch.Generator())
    assert codes.shape == (2, 4)
    again = given.map(lambda tensor: tensor)
    again.values["image"] = as_tokens(codes)
    assert model.predict(again).logits[:, model.unified.vocabulary :].argmax(-1).tolist() == codes.flatten().tolist()
    pictures = model.unified.pixels(codes)
    assert pictures.shape == (2, 4, 4, 3) and pictures.dtype == torch.uint8
    assert model.unified.look(list(pictures.numpy()))[1].tolist() == as_tokens(codes[1]).tolist()


def test_guidance_goes_away_from_what_is_drawn_unasked(make):
    plain, guided = make(drawing=Sampling(temperature=0.0)), make(drawing=Sampling(temperature=0.0, guidance=3.0))
    learned(plain), learned(guided)
    given = batch(plain, ["draw a red star"], draws=[True])
    code = int(guided.draw(given, random=torch.Generator())[0, 0])
    unasked = batch(plain, [""], draws=[True])
    c, u = (plain.predict(one).logits[0, plain.unified.vocabulary :] for one in (given, unasked))
    assert code == int((u + 3 * (c - u)).argmax())


def test_drawing_depends_on_its_generator_alone(make):
    model = learned(make(drawing=Sampling(top=3)))
    given = batch(model, ["draw a red star"] * 16, draws=[True] * 16)
    first, again, other = (model.draw(given, random=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_saved_and_loaded_it_says_the_same(make):
    model = learned(make())
    given = batch(model, ["what colour is it ?", "draw a red star"], ["red", ""], draws=[False, True])
    twin = model.rebuilt(model.state_tree())
    assert torch.equal(twin.predict(given).logits, model.predict(given).logits)
    assert not any("network" in name for name in model.state_tree()["weights"])


def test_what_is_no_picture_of_the_host_is_told(make):
    model = make()
    with pytest.raises(SettingsError, match="width 3, and the host reads pictures of width 2"):
        model.grow(Outline(index=1, name="two", modalities=("sound",), widths={"sound": 3}))
