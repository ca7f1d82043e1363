import hashlib
import math

import pytest
import torch
from torch.nn.functional import gelu, layer_norm

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.adapters.stage_experts import StageExperts, imbalance

WIDTH = 8


@pytest.fixture
def widths():
    return dict.fromkeys(("audio", "image", "text"), WIDTH)


def digest(tokens):
    return hashlib.sha256(tokens.detach().numpy().tobytes()).hexdigest()


# equations ----------------------------------------------------------------------------------------------------


def test_the_mixture_written_out_token_by_token(adapter, batch):
    made, whole = adapter("stage-experts", bottleneck=3, active=2), batch(7)
    added = made(whole)
    for m, tokens in whole.values.items():
        router = made.router(m)
        for row, at in ((0, 0), (3, 1), (6, 0)):
            h = tokens[row, at]
            logits = router.weight @ h + router.bias
            top = logits.argsort(descending=True)[:2]
            g = logits[top].exp() / logits[top].exp().sum()
            experts = [made.experts[e] for e in top.tolist()]
            wanted = sum(w * (e.up @ gelu(e.down @ h)) for w, e in zip(g, experts, strict=True))
            torch.testing.assert_close(added[m][row, at], wanted, rtol=1e-4, atol=1e-4)


def test_many_tokens_are_sorted_by_expert_to_the_same_result(adapter, batch):
    made, whole = adapter("stage-experts"), batch(300)
    many, few = made(whole), made(whole.take(slice(0, 3)))
    for m in few:
        torch.testing.assert_close(many[m][:3], few[m], rtol=1e-4, atol=1e-4)


def test_imbalance_by_hand():
    importance = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1]])  # sums 1.2, 0.6, 0.2; mean 2 / 3
    variance = ((1.2 - 2 / 3) ** 2 + (0.6 - 2 / 3) ** 2 + (0.2 - 2 / 3) ** 2) / 3
    assert float(imbalance(importance)) == pytest.approx(variance / (2 / 3) ** 2)


def test_importance_is_the_mean_over_valid_tokens_of_the_softmax_over_all_experts(adapter, batch):
    made, whole = adapter("stage-experts"), batch(4)
    valid = torch.tensor([[True, False, True]] * 4)
    audio = whole.values["audio"]
    found = made.importance(Batch(whole.values, whole.targets, {"audio": valid}, {"text": torch.arange(4) > 0}))
    shares = made.router("audio")(audio).softmax(-1)
    torch.testing.assert_close(found["audio"], (shares[:, 0] + shares[:, 2]) / 2)
    assert not found["text"][0].any() and found["text"][1:].sum(1).tolist() == pytest.approx([1.0] * 3)
    wanted = torch.stack([imbalance(made.importance(whole)[m]) for m in whole.values]).mean()
    torch.testing.assert_close(made.balance(whole), 0.01 * wanted)


# stages -------------------------------------------------------------------------------------------------------


def test_experts_routers_and_what_may_be_trained_stage_by_stage(adapter, stage):
    made = adapter("stage-experts", modalities=("image", "text"))
    for index, new in ((1, ("audio", "text")), (2, ("audio", "text"))):
        kept = dict(made.named_parameters())
        made.grow(stage(index, new), new)
        assert all(dict(made.named_parameters())[name] is p and not p.requires_grad for name, p in kept.items())
        fresh = {name for name, p in made.named_parameters() if p.requires_grad}
        assert {name.split(".")[1] for name in fresh if name.startswith("experts")} == {
            str(2 + 2 * index), str(3 + 2 * index)
        }  # fmt: skip
        assert {name.rsplit(".", 1)[0] for name in fresh if name.startswith("routers")} == {
            f"routers.{m}.{index}" for m in new
        }
    assert len(made.experts) == 8
    assert {m: [r.out_features for r in made.routers[m].values()] for m in made.routers} == {
        "image": [4], "text": [4, 6, 8], "audio": [6, 8]
    }  # fmt: skip
    assert not made.experts[6].up.any() and not made.experts[7].up.any()
    assert made.experts[3].up.any()


def test_what_old_routers_return_is_the_same_to_the_last_bit_after_every_later_stage(adapter, batch, stage, train):
    made, whole = adapter("stage-experts", modalities=("image", "text")), batch(200)
    train(made, batch(50, ("image", "text")))
    kept: dict[str, str] = {f"{m} 0": digest(made(whole)[m]) for m in ("image", "text")}
    for index, new in ((1, ("audio", "text")), (2, ("audio", "text")), (3, ("image", "text"))):
        made.grow(stage(index, new), new)
        train(made, batch(50, new, seed=index))
        for name, value in kept.items():
            m, at = name.split()
            assert digest(made.of_stage(whole, int(at))[m]) == value, name
        if index < 3:  # image has not come back yet, so it is called as ever
            assert digest(made(whole)["image"]) == kept["image 0"]
        assert digest(made(whole)["text"]) != kept["text 0"]
        kept |= {f"{m} {index}": digest(made(whole)[m]) for m in new}
    assert made.of_stage(whole, 0).keys() == {"image", "text"}, "audio had not come"
    assert digest(made.of_stage(whole, 2)["image"]) == kept["image 0"], "it kept its router of stage 0"
    assert digest(made.of_stage(whole, 3)["text"]) == digest(made(whole)["text"])


@pytest.mark.parametrize("spread", [0.3, 3.0, 30.0])
def test_a_router_at_birth_decides_as_the_one_before(adapter, batch, stage, spread):
    """The bound holds for any logits: wide ones are where a second expert lies far below the first."""
    for seed in range(5):
        made, whole = adapter("stage-experts", seed=seed), batch(100, seed=seed)
        with torch.no_grad():
            made.router("text").weight.mul_(spread), made.router("text").bias.mul_(spread)
            each = [gelu(whole.values["text"] @ e.down.T) @ e.up.T for e in made.experts]
        largest = float(torch.stack(each).abs().max())
        before = made(whole)["text"]
        made.grow(stage(1), tuple(whole.values))
        moved = float((made(whole)["text"] - before).detach().abs().max())
        assert moved <= 2 * largest * math.exp(-4 * 2.0 / (2 - 1)) + 1e-4


def test_without_a_margin_new_experts_take_places_at_birth(adapter, batch, stage):
    made, whole = adapter("stage-experts", margin=0.0), batch(100)
    before = made(whole)["text"]
    made.grow(stage(1), tuple(whole.values))
    assert float((made(whole)["text"] - before).detach().abs().max()) > 0.1
    assert made.usage(whole)[4:].sum() > 0


def test_a_trained_mediator_starts_where_it_was_and_comes_to_use_new_experts():
    """Concepts that arrive with another style of the mediator, as a stage brings them."""
    random = torch.Generator().manual_seed(0)
    looks = {m: torch.randn(12, 16, generator=random) for m in ("image", "text", "audio")}
    wanted = torch.randn(12, 16, generator=random)

    def pairs(new, style):
        shown = torch.randint(12, (48,), generator=random)
        tokens = {m: looks[m][shown][:, None] + 0.5 * torch.randn(48, 3, 16, generator=random) for m in (new, "text")}
        tokens["text"] = tokens["text"] + style
        return Batch({m: layer_norm(t, (16,)) for m, t in tokens.items()}, shown)

    def learn(new, style):
        optimiser = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=5e-3)
        for _ in range(80):
            batch = pairs(new, style)
            off = sum(
                (batch.values[m] + a - wanted[batch.targets][:, None]).square().mean() for m, a in made(batch).items()
            )
            optimiser.zero_grad(), (off + made.balance(batch)).backward(), optimiser.step()

    torch.manual_seed(0)
    made = StageExperts(StageExperts.Settings(bottleneck=8))
    widths = dict.fromkeys(looks, 16)
    made.grow(Outline(index=0, name="0", widths=widths), ("image", "text"))
    learn("image", 0.0)
    probe = pairs("image", 0.0)
    assert (made.usage(probe) > 1).sum() > 1, "more than one expert is used"
    before = made(probe)["text"]
    made.grow(Outline(index=1, name="1", widths=widths), ("audio", "text"))
    torch.testing.assert_close(made(probe)["text"], before, rtol=0, atol=1e-2)
    assert made(probe)["text"].abs().max() > 0.5, "the adapter had something to keep"
    learn("audio", torch.linspace(-1, 1, 16))
    used = {m: made.usage(pairs("audio", torch.linspace(-1, 1, 16)).only([m])) / 48 for m in ("audio", "text")}
    assert used["text"][4:].sum() > 0.05 and used["audio"][4:].sum() > 0.2


# the rest -----------------------------------------------------------------------------------------------------


def test_noise_is_drawn_in_training_alone(adapter, batch):
    made, whole = adapter("stage-experts", noise=3.0), batch(50)
    assert torch.equal(made(whole)["text"], made(whole)["text"])
    made.train()
    assert not torch.equal(made(whole)["text"], made(whole)["text"])
    quiet = adapter("stage-experts").train()
    assert torch.equal(quiet(whole)["text"], quiet(whole)["text"])


@pytest.mark.parametrize(
    "given", [{"experts": 0}, {"added": -1}, {"experts": 2, "active": 3}, {"margin": -0.5}, {"noise": -1.0}]
)
def test_settings_that_cannot_be_say_what_can(given):
    with pytest.raises(SettingsError, match=r"adapter\.\w+: -?[\d.]+ is given"):
        StageExperts.Settings(**given)
