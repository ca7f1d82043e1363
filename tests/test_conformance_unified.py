"""One suite over every method that works over a model that reads and draws, and every delta beside its host.

A stream of three stages: questions about pictures, pictures to draw, descriptions. A picture has four quarters, some of
one colour; the host is tiny and random.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from polymnia.data.samples import Samples
from polymnia.data.source import SOURCES, Dataset, Source
from polymnia.data.stage import Card, Stage, Stream
from polymnia.data.tokens import Tokens
from polymnia.hosts.base import HOSTS, Host
from polymnia.hosts.unified import as_tokens
from polymnia.layers.deltas.base import DELTAS
from polymnia.methods.base import METHODS, Method
from polymnia.models.sampling import Sampling
from polymnia.models.unified_model import UnifiedModel
from polymnia.randomness import Randomness
from polymnia.registry import NoSettings
from polymnia.training.checkpoint import digest
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

NAMES = [name for name in METHODS if METHODS.get(name).needs <= UnifiedModel.provides]
WANTED = {"finetune", "joint", "ewc", "lwf", "si", "replay", "a-gem", "o-lora", "moe-lora", "mode",
          "drawing-distillation", "combined", "gem", "cl-moe", "dualprompt", "l2p", "zero-shot"}  # fmt: skip
GIVEN = {"combined": {"of": ({"name": "ewc", "strength": 10.0}, "drawing-distillation")}}
"""Settings without which a method is no more than fine-tuning."""
LEARNS_NOTHING = {"zero-shot"}
CARRY_NOTHING = {"l2p", "dualprompt", "coda-prompt"}
"""Nothing is learned beside the random host's layers, so its texts stay its own."""
OWN = Card(title="made", licence="none", citation="none")
COLOURS, SHAPES = {"red": 1, "green": 2, "blue": 4}, {"star": (1, 0, 0, 1), "dot": (1, 0, 0, 0), "box": (1, 1, 1, 1)}
THINGS = [(colour, shape) for colour in COLOURS for shape in SHAPES]
PLAN = ("answering", "generation", "captioning")
LEARNS = TrainerSettings(epochs=16, batch_size=9, lr=0.02, clip=1.0, count_flops=False)
QUICK = replace(LEARNS, epochs=1)
every_method = pytest.mark.parametrize("name", NAMES)
every_delta = pytest.mark.parametrize("delta", DELTAS.names())


# the stream ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def registered(unified_made, tmp_path_factory):
    """Let models name a tiny host of one layer, which is sure of something, and pictures that it offers to draw."""
    folder, made = tmp_path_factory.mktemp("tiny-unified"), unified_made(layers=1)
    with torch.no_grad():
        for name, p in made.network.named_parameters():
            if p.ndim == 2:
                p.mul_(40.0 if "lm_head" in name else 8.0)
    made.network.save_pretrained(folder)

    class Tiny(Host):
        name, card, draws = "tiny", OWN, True

        def folder(self):
            return folder

        def load(self):
            return made

        def tokeniser(self):
            return made.tokeniser

        def drawings(self):
            return {"name": "things"}

    class Things(Source):
        name, card, Settings = "things", OWN, NoSettings

        def load(self):
            samples = samples_of(99, "generation", 1)
            codes = samples.values["image"].flat[:, 1].long().reshape(-1, 4)
            raw = replace(samples, values={"image": made.pixels(codes).numpy()}, sequences={})
            return Dataset(samples=raw, class_names=(), kinds={"image": "image"})

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYMNIA_HOME", str(tmp_path_factory.mktemp("home")))
        for registry, kind in ((HOSTS, Tiny), (SOURCES, Things)):
            assert kind.name not in registry
            patch.setitem(registry._parts, kind.name, kind)
        yield


@pytest.fixture(scope="session")
def stages(registered):
    """Return the three stages, with the ids of their texts."""
    stages = tuple(
        Stage(index=index, name=task, task=task, modalities=("image",), widths={"image": 2},
              **{split: samples_of(index, task, 2 if split == "train" else 1) for split in ("train", "valid", "test")})
        for index, task in enumerate(PLAN)
    )  # fmt: skip
    stream = Stream(name="made", scenario="tasks", stages=stages, kinds={"image": "image"}, class_names=(), card=OWN)
    return UnifiedModel.ready(stream, UnifiedModel.Settings(host="tiny")).stages


def samples_of(index: int, task: str, times: int) -> Samples:
    """Return samples of all nine things, some times over."""
    things = THINGS * times
    codes = torch.tensor([[COLOURS[c] * bright for bright in SHAPES[s]] for c, s in things])
    columns = {
        "task": [task] * len(things),
        "prompt": {
            "answering": ["what colour is it ?"] * len(things),
            "generation": [f"draw a {c} {s}" for c, s in things],
            "captioning": ["describe the picture ."] * len(things),
        }[task],
    }
    if task != "generation":
        columns["answer"] = [c if task == "answering" else f"a {c} {s}" for c, s in things]
    return Samples(
        np.array([f"{index}-{times}-{row}" for row in range(len(things))]),
        {"image": Tokens.dense(as_tokens(codes))},
        {"image": torch.ones(len(things), dtype=torch.bool)},
        torch.full((len(things),), -1),
        {name: np.array(values, dtype=np.str_) for name, values in columns.items()},
    )


# a learner ----------------------------------------------------------------------------------------------------


@pytest.fixture
def learner():
    """Return a function that makes a trainer over a new model, with the method's own parts, and a new method."""

    def made(name, *, settings=None, trainer=QUICK, seed=3, **model) -> Trainer:
        kind, given = METHODS.get(name), {**GIVEN.get(name, {})} if settings is None else settings
        fields = UnifiedModel.Settings.__dataclass_fields__
        wished = {key: value for key, value in kind.parts_of(given).items() if key in fields}
        if {"places"} <= wished.keys():
            wished["places"] = tuple(wished["places"])
        settled = UnifiedModel.Settings(**{"host": "tiny", "most": 5, **wished, **model})
        method = kind(UnifiedModel(settled, seed=seed), kind.Settings(**given), randomness=Randomness(seed))
        return Trainer(method, trainer)

    return made


def drawn(method: Method, samples: Samples, rows: int = 4) -> torch.Tensor:
    return method.model.draw(samples.batch(torch.arange(rows)), random=torch.Generator().manual_seed(0))


# what a method does -------------------------------------------------------------------------------------------


def test_every_method_of_the_plan_is_there():
    assert set(NAMES) >= WANTED


@every_method
def test_learns_the_first_stage_and_predicts_without_side_effects(name, stages, learner, suite):
    trainer = learner(name, trainer=LEARNS)
    method, test = trainer.method, stages[0].test
    method.model.grow(stages[0])
    untrained = suite.loss(method, test)
    trainer.fit(stages[0])
    if name in LEARNS_NOTHING:
        assert suite.loss(method, test) == untrained
    else:
        assert suite.loss(method, test) < 0.5 * untrained
        assert name in CARRY_NOTHING or suite.right(method, test) > 0.5  # of three colours
    before, random = suite.fingerprint(trainer), torch.get_rng_state()
    method.model.train()
    found, batch = suite.logits(method, test), test.batch(torch.arange(len(test)))
    written = method.answer(batch)
    drawn(method, stages[1].test)
    assert not found.requires_grad
    assert found.shape == (2 * len(test), method.model.unified.vocabulary + method.model.unified.codes)
    assert method.model.training, "a prediction must leave the model's mode as it was"
    assert suite.fingerprint(trainer) == before, "a prediction must not change the state"
    assert bool((torch.get_rng_state() == random).all()), "a prediction must not draw"
    # nor depend on what else is in the batch, in which order, and on padding
    torch.testing.assert_close(suite.logits(method, test, 4), found, rtol=1e-4, atol=1e-4)
    assert method.answer(batch.take(torch.arange(len(test)).flip(0))) == written[::-1]
    assert method.answer(batch.join(stages[2].test.batch(torch.arange(2))).take(slice(0, len(test)))) == written
    assert method.memory_bytes() >= 0


@every_method
def test_is_fine_tuning_when_it_is_off(name, stages, learner, suite):
    off = METHODS.get(name).off
    if off is None or isinstance(off, str):
        assert off and len(off.split()) > 4, "a method that cannot be turned off says why"
        return
    ours = suite.learn(learner(name, settings={**off}), stages, last=2).method
    plain = Trainer(METHODS.get("finetune")(ours.model.blank(), randomness=Randomness(3)), QUICK)
    assert digest(ours.model.state_tree()) == digest(suite.learn(plain, stages, last=2).method.model.state_tree())


@every_method
def test_goes_on_from_a_saved_state_as_if_never_stopped(name, stages, learner, tmp_path, suite):
    whole = learner(name)
    host = digest(dict(whole.method.model.loaded.network.state_dict()))
    suite.learn(whole, stages)
    pictures = drawn(whole.method, stages[1].test)
    for resumed in suite.resumed(lambda: learner(name), whole, stages, tmp_path):
        assert torch.equal(drawn(resumed.method, stages[1].test), pictures)
        assert digest(dict(resumed.method.model.loaded.network.state_dict())) == host, "the host must stay as it is"


@every_method
def test_takes_samples_without_a_picture_a_stage_of_one_sample_and_batches_in_parts(name, stages, learner, suite):
    has = torch.arange(18) % 3 != 0
    gaps = replace(stages[0].train, present={"image": has})
    first = replace(stages[0], train=gaps)
    one = replace(stages[1], train=stages[1].train.subset(torch.arange(1)), earlier=(first,))
    method = suite.learn(learner(name, trainer=replace(QUICK, accumulate=2)), [first, one]).method
    texts = gaps.subset((~has).nonzero()[:, 0])  # what stands where a picture is missing has no influence
    noise = Tokens.dense(as_tokens(torch.randint(8, (len(texts), 4))))
    other = replace(texts, values={"image": noise})
    assert torch.equal(suite.logits(method, texts), suite.logits(method, other))
    bare = replace(texts, values={}, present={})
    torch.testing.assert_close(suite.logits(method, bare), suite.logits(method, texts), rtol=1e-4, atol=1e-4)


def test_another_seed_is_another_run(stages, learner, suite):
    runs = [suite.learn(learner("mode", seed=seed), stages, last=1) for seed in (3, 3, 4)]
    assert suite.fingerprint(runs[0]) == suite.fingerprint(runs[1])
    assert suite.fingerprint(runs[0])[0] != suite.fingerprint(runs[2])[0]


def test_drawing_is_learned_and_kept(stages, learner, suite):
    first, second = replace(stages[1], index=0, earlier=()), replace(stages[0], index=1)
    trainer = learner("finetune", trainer=LEARNS, delta={"name": "decoupled", "image": "lora", "dropout": 0.0})
    method = trainer.method
    method.model.grow(first)
    untrained = suite.loss(method, first.test)
    trainer.fit(first)
    learned = suite.loss(method, first.test)
    assert learned < 0.5 * untrained
    for delta in method.model.deltas.values():  # with only texts' experts trained, drawing stays to the last bit
        delta.picture.requires_grad_(False)
    before, pictures = suite.logits(method, first.test), drawn(method, first.test)
    method.model.grow(second)
    trainer.fit(second)
    assert torch.equal(suite.logits(method, first.test), before)
    assert torch.equal(drawn(method, first.test), pictures)


# deltas -------------------------------------------------------------------------------------------------------


@pytest.fixture
def over():
    """Return a function that makes a model with a delta, grown by some stages."""

    def made(delta, stages, **settings) -> UnifiedModel:
        drawing = Sampling(temperature=0.0)
        given = {"host": "tiny", "delta": delta, "most": 5, "drawing": drawing, **settings}
        model = UnifiedModel(UnifiedModel.Settings(**given), seed=1)
        for stage in stages:
            model.grow(stage)
        return model

    return made


def of_all(stages, rows: int = 2):
    """Return a batch of questions, of what is drawn and of descriptions, prompts of several lengths."""
    asked, draws, described = (stage.test.batch(torch.arange(rows)) for stage in stages)
    return asked.join(draws).join(described)


@every_delta
def test_a_new_delta_is_nothing(delta, stages, over):
    model, bare, batch = over(delta, stages[:1]), over(None, stages[:1]), of_all(stages)
    assert torch.equal(model.predict(batch).logits, bare.predict(batch).logits)
    assert model.answer(batch) == bare.answer(batch)
    draws, random = stages[1].test.batch(torch.arange(3)), torch.Generator()
    assert torch.equal(model.draw(draws, random=random), bare.draw(draws, random=random))


@every_delta
def test_growing_changes_nothing_that_was_there(delta, stages, over, suite):
    model, batch = suite.stirred(over(delta, stages[:1])), of_all(stages)
    before, held = model.predict(batch).logits.clone(), {n: p.clone() for n, p in model.named_parameters()}
    model.grow(stages[1])
    assert all(torch.equal(p, held[n]) for n, p in model.named_parameters() if n in held)
    torch.testing.assert_close(model.predict(batch).logits, before, rtol=1e-5, atol=1e-5)
    suite.stirred(model).grow(stages[2])
    assert any(p.requires_grad for p in model.deltas.parameters())


@every_delta
def test_a_delta_is_rebuilt_with_what_is_frozen(delta, stages, over, suite):
    model, batch = suite.stirred(over(delta, stages), trained=False), of_all(stages)
    twin = model.rebuilt(model.state_tree())
    assert torch.equal(twin.predict(batch).logits, model.predict(batch).logits)
    assert twin.trainable().keys() == model.trainable().keys()
    teacher, wanted = model.frozen_copy(), model.predict(batch).logits.clone()
    suite.stirred(model)
    assert torch.equal(teacher.predict(batch).logits, wanted)
    assert not torch.equal(model.predict(batch).logits, wanted)


@every_delta
@pytest.mark.parametrize("route", ["token", "output"])
def test_padding_company_and_steps_change_nothing(delta, route, stages, over, suite):
    model = suite.stirred(over(delta, stages, route_text=route, route_image=route), trained=False)
    batch = of_all(stages)
    alone = [batch.take(torch.tensor([row])) for row in range(len(batch))]
    said = torch.cat([model.predict(one).logits for one in alone])
    torch.testing.assert_close(model.predict(batch).logits, said, rtol=1e-4, atol=1e-4)
    assert model.answer(batch) == [model.answer(one)[0] for one in alone]
    draws = stages[1].test.batch(torch.arange(3))
    codes = model.draw(draws, random=torch.Generator())
    again = draws.map(lambda tensor: tensor)
    again.values["image"] = as_tokens(codes)  # step by step it chose what the whole sequence finds likeliest
    found = model.predict(again).logits[:, model.unified.vocabulary :]
    assert found.argmax(-1).tolist() == codes.flatten().tolist()


@every_delta
def test_what_a_delta_trains_gets_a_gradient_and_is_reported(delta, stages, over, suite):
    for index in (0, 1):  # where a kind of token is absent too: processes average theirs
        model = suite.stirred(over(delta, stages[:2]), trained=False).train()
        model.task_loss(model(stages[index].train.batch(torch.arange(9)))).backward()
        held = dict(model.deltas.named_parameters())
        assert {n for n, p in held.items() if p.grad is not None} == {n for n, p in held.items() if p.requires_grad}
        names = {name for name in model.trainable() if name.startswith("deltas.")}
        assert names and all(f"deltas.{n}" in names for n, p in held.items() if p.requires_grad)
        assert all(p.grad is None for p in model.loaded.network.parameters())
        assert not any("network" in name for name in model.state_dict()), "the host is no part of a state"
