"""Decoupled experts: the equations by a loop, what is and is not isolated, and a rival that parts blindly."""

import pytest
import torch
from torch import nn

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.hosts.causal import Causal, Decoding
from polymnia.hosts.texts import padded
from polymnia.hosts.unified import as_tokens
from polymnia.layers.deltas.base import PICTURE, TEXT, Asked
from polymnia.layers.deltas.decoupled import Decoupled
from polymnia.models.sampling import Sampling
from polymnia.models.unified_model import UnifiedModel

KINDS = torch.tensor([[TEXT, PICTURE, PICTURE, TEXT, TEXT], [PICTURE, TEXT, PICTURE, PICTURE, TEXT]])
PLACES = torch.tensor([[0, 0, 1, 2, 3], [0, 1, 2, 3, 4]])  # a token of padding before the first row


def learned(part, scale=0.3):
    """Give parameters values that are not those of a new part."""
    with torch.no_grad():
        for at, p in enumerate(part.parameters()):
            noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(at), dtype=p.dtype)
            p.add_(scale * noise)
    return part


def tiny(**settings) -> Decoupled:
    made = Decoupled.Settings(**{"experts": 3, "rank": 2, "alpha": 5.0, "dropout": 0.0, **settings})
    return Decoupled(6, 4, made, asked=Asked(kinds=KINDS, places=PLACES)).double()


def one_by_one(delta: Decoupled, given: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return what the equations say, token by token and expert by expert."""
    s, wanted = delta.settings, torch.zeros(*given.shape[:2], delta.outputs, dtype=given.dtype)
    for b, t in torch.cartesian_prod(*map(torch.arange, given.shape[:2])).tolist():
        h = given[b, t]
        if others[b, t]:
            if s.image == "lora":
                wanted[b, t] = s.alpha / s.rank * (delta.picture.up @ (delta.picture.down @ h))
            continue
        exponents = torch.stack([(delta.router.weight[j] * h).sum() for j in range(s.experts)]).exp()
        for j in range(s.experts):
            rows = slice(j * s.rank, (j + 1) * s.rank)
            expert = delta.text.up[:, rows] @ (delta.text.down[rows] @ h)
            wanted[b, t] += s.alpha / s.rank * exponents[j] / exponents.sum() * expert
    return wanted


# the layer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"image": "none"}, {"experts": 1, "rank": 3}, {"by": "position"}])
def test_it_is_the_equations(settings):
    delta, given = learned(tiny(**settings)), torch.randn(2, 5, 6, dtype=torch.float64)
    others = PLACES % 2 == 1 if settings.get("by") == "position" else KINDS == PICTURE
    assert float((delta(given) - one_by_one(delta, given, others)).abs().max().detach()) < 1e-12
    assert torch.equal(delta.others(given), others)


def test_its_gradients_are_those_of_the_equations():
    delta, given = learned(tiny()), torch.randn(2, 5, 6, dtype=torch.float64)
    weights = torch.randn(2, 5, 4, dtype=torch.float64)
    held = list(delta.parameters())
    ours = torch.autograd.grad((delta(given) * weights).sum(), held)
    theirs = torch.autograd.grad((one_by_one(delta, given, KINDS == PICTURE) * weights).sum(), held)
    assert max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)) < 1e-12


def test_a_new_one_begins_as_published():
    delta = Decoupled(64, 3)
    assert delta.settings == Decoupled.Settings(experts=4, rank=8, alpha=16.0, dropout=0.05)
    assert delta.text.scale == delta.picture.scale == 2
    assert delta.router.bias is None and delta.router.weight.shape == (4, 64)
    for random in (delta.text.down, delta.picture.down, delta.router.weight):
        assert 0.9 / 8 < float(random.detach().abs().max()) <= 1 / 8  # Kaiming, uniform, a = √5: 1 / √inputs
    assert not delta.text.up.any() and not delta.picture.up.any()
    assert torch.equal(delta(torch.randn(2, 5, 64)), torch.zeros(2, 5, 3))


def test_a_token_weighs_on_its_own_kind_alone():
    delta, given = learned(tiny()), torch.randn(2, 5, 6, dtype=torch.float64)
    before = delta(given)
    learned(delta.text, 5.0), learned(delta.router, 5.0)
    after = delta(given)
    assert torch.equal(after[KINDS == PICTURE], before[KINDS == PICTURE])
    assert not (after[KINDS == TEXT] == before[KINDS == TEXT]).any()
    learned(delta.picture, 5.0)
    assert torch.equal(delta(given)[KINDS == TEXT], after[KINDS == TEXT])


def test_routing_is_in_single_precision_and_sees_what_dropout_has_not_touched():
    delta = learned(Decoupled(6, 4, Decoupled.Settings(dropout=0.5), asked=Asked(kinds=KINDS)).bfloat16(), 3.0)
    given = torch.randn(2, 5, 6).bfloat16()
    wanted = (given.float() @ delta.router.weight.float().T).softmax(-1)
    assert delta.weights(given).dtype == torch.float32 and torch.equal(delta.weights(given), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(delta.weights(given), wanted)
    assert delta(given).dtype == torch.bfloat16
    seen: list[torch.Tensor] = []
    weights = delta.weights
    delta.weights = lambda tokens: seen.append(tokens) or weights(tokens)
    assert not torch.equal(delta.train()(given), delta.eval()(given))
    assert all(tokens is given for tokens in seen) and len(seen) == 2


def test_it_cannot_be_merged_and_says_why():
    layer = nn.Linear(6, 4)
    with pytest.raises(SettingsError, match=r"'decoupled' cannot be merged.*follows from its kind.*'lora'"):
        tiny().merge(layer)


@pytest.mark.parametrize("wrong", ["experts", "rank"])
def test_wrong_settings_are_named(wrong):
    with pytest.raises(SettingsError, match=f"delta.{wrong}: 0 is given; at least 1 is accepted"):
        Decoupled.Settings(**{wrong: 0})


# in a host ----------------------------------------------------------------------------------------------------


@pytest.fixture
def make(tiny_unified):
    """Return a function that makes a grown model over the tiny host."""

    def made(delta="decoupled", **settings) -> UnifiedModel:
        model = UnifiedModel(UnifiedModel.Settings(**{"host": "words", "delta": delta, "most": 6, **settings}))
        model.host = tiny_unified
        model.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": 2}))
        return model.eval()

    return made


def drawn(model, texts=("draw a red star", "a dot")) -> Batch:
    codes = torch.randint(8, (len(texts), 4), generator=torch.Generator().manual_seed(0))
    prompts = padded([model.loaded.tokeniser.prompt(text) for text in texts])
    columns = {"prompt": prompts, "draws": torch.ones(len(texts), 1, dtype=torch.long)}
    return Batch({"image": as_tokens(codes)}, torch.full((len(texts),), -1), columns=columns)


def read(model, texts=("what colour is it ?", "describe"), answers=("red", "a dot")) -> Batch:
    ids = padded([model.loaded.tokeniser.answer(text) for text in answers])
    given = drawn(model, texts)
    given.columns.update(draws=torch.zeros_like(given.columns["draws"]), answer=ids)
    return given


def blocks(model) -> dict[str, list[nn.Parameter]]:
    named = dict(model.deltas.named_parameters())
    picture = [p for name, p in named.items() if ".picture." in f".{name}"]
    return {"picture": picture, "text": [p for name, p in named.items() if ".picture." not in f".{name}"]}


@pytest.mark.parametrize("image", ["lora", "none"])
def test_a_new_one_says_what_the_host_says(image, make):
    model, bare = make({"name": "decoupled", "image": image}), make(None)
    for given in (read(model), drawn(model)):
        assert torch.equal(model.predict(given).logits, bare.predict(given).logits)
    assert model.answer(read(model)) == bare.answer(read(model))


def test_drawing_gives_text_experts_no_gradient_when_all_is_the_pictures(make):
    for route, isolated in (("output", True), ("token", False)):
        model = learned(make(route_image=route)).train()
        model.task_loss(model(drawn(model))).backward()
        held = blocks(model)
        assert any(p.grad.any() for p in held["text"]) != isolated
        assert all(p.grad.any() for p in held["picture"])


def test_text_experts_change_no_drawing_by_a_bit(make):
    for route, isolated in (("output", True), ("token", False)):
        model = learned(make(route_image=route, drawing=Sampling(guidance=2.0)))
        given = drawn(model)
        before, codes = model.predict(given).logits, model.draw(given, random=torch.Generator().manual_seed(0))
        with torch.no_grad():
            for p in blocks(model)["text"]:
                p.copy_(torch.randn(p.shape))
        assert torch.equal(model.predict(given).logits, before) == isolated
        if isolated:
            assert torch.equal(model.draw(given, random=torch.Generator().manual_seed(0)), codes)


def test_text_experts_alone_leave_drawing_as_the_host_draws(make):
    model, bare = learned(make({"name": "decoupled", "image": "none"})), make(None)
    assert torch.equal(model.predict(drawn(model)).logits, bare.predict(drawn(model)).logits)
    assert not torch.equal(model.predict(read(model)).logits, bare.predict(read(model)).logits)
    assert not blocks(model)["picture"]


def test_an_answer_trains_both(make):
    model = learned(make()).train()
    model.task_loss(model(read(model))).backward()
    first = model.deltas["model/layers/0/mlp/up_proj"]  # of the last layer only what foretells counts: texts
    assert all(p.grad.any() for p in first.parameters())
    assert all(p.grad is not None for p in model.deltas.parameters())
    by_output = learned(make(route_text="output"))  # in writing, the question's picture counts as text
    before = by_output.predict(read(by_output)).logits
    with torch.no_grad():
        for p in blocks(by_output)["picture"]:
            p.copy_(torch.randn(p.shape))
    assert torch.equal(by_output.predict(read(by_output)).logits, before)


@pytest.mark.parametrize("by", ["kind", "position"])
@pytest.mark.parametrize("route", ["token", "output"])
def test_step_by_step_is_the_whole_sequence(by, route, make):
    delta = {"name": "decoupled", "by": by}
    model = learned(make(delta, route_text=route, route_image=route, drawing=Sampling(temperature=0.0)), 0.6)
    codes = model.draw(drawn(model), random=torch.Generator())
    again = drawn(model)
    again.values["image"] = as_tokens(codes)
    said = model.predict(again).logits[:, model.unified.vocabulary :]
    assert said.argmax(-1).tolist() == codes.flatten().tolist()
    written = model.answer(read(model))
    for row, text in enumerate(written):
        ids: list[int] = []
        for _ in range(6):
            given = read(model).take(torch.tensor([row]))
            given.columns["answer"] = torch.tensor([[*ids, 5]])
            ids.append(int(model.predict(given).logits[-1].argmax()))
        assert text == model.loaded.tokeniser.text(ids)


@pytest.mark.parametrize("by", ["kind", "position"])
def test_padding_company_and_order_change_nothing(by, make):
    model = learned(make({"name": "decoupled", "by": by}, drawing=Sampling(temperature=0.0)), 0.6)
    for given, rows in ((read(model), [2, 3]), (drawn(model), [4, 4])):
        together = model.predict(given).logits.split(rows)
        for row, wanted in enumerate(together):
            alone = given.take(torch.tensor([row]))
            assert model.predict(alone).logits.allclose(wanted, atol=1e-5)
    texts, codes = model.answer(read(model)), model.draw(drawn(model), random=torch.Generator())
    for row in range(2):
        at = torch.tensor([row])
        assert model.answer(read(model).take(at)) == [texts[row]]
        assert torch.equal(model.draw(drawn(model).take(at), random=torch.Generator())[0], codes[row])


def test_places_are_told_where_beams_write(tiny_lm, make):
    host, told = Causal.load(tiny_lm), []
    delta = learned(Decoupled(16, 32, Decoupled.Settings(by="position")), 3.0).eval()
    model = make(None)
    model.host, model.asked = host, delta.asked
    model.deltas["model/layers/0/mlp/up_proj"] = delta
    delta.register_forward_pre_hook(lambda _, given: told.append(delta.asked.places_of(given[0]).tolist()))
    ids = torch.tensor([[0, 1, 5, 7], [1, 5, 7, 9]])
    valid = ids > 0
    with model.carried():
        host.write(host.embed(ids), valid, Decoding(most=3, beams=2))
    assert [row[-3:] for row in told[0]] == [[0, 1, 2]] * 2 + [[1, 2, 3]] * 2
    assert told[1:] == [[[3]] * 2 + [[4]] * 2, [[4]] * 2 + [[5]] * 2]
    assert delta.asked.places is None


@pytest.mark.parametrize("image", ["lora", "none"])
def test_saved_and_loaded_it_says_the_same(image, make):
    model = learned(make({"name": "decoupled", "image": image}))
    twin = model.rebuilt(model.state_tree())
    for given in (read(model), drawn(model)):
        assert torch.equal(twin.predict(given).logits, model.predict(given).logits)
