"""One suite over every method that works over texts, and every delta: what it must do whatever it is.

A stream of three stages: descriptions of images, answers about sounds, descriptions of sounds. What is seen and heard
is a colour and a shape, in two codes; the host is tiny and random.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Card, Stage, Stream
from polymnia.data.tokens import Tokens
from polymnia.errors import SettingsError
from polymnia.hosts.causal import Decoding
from polymnia.layers.deltas.base import DELTAS
from polymnia.methods.base import METHODS
from polymnia.models.language_model import LanguageModel
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import digest, load_state, save_state
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

NAMES = [name for name in METHODS if METHODS.get(name).needs <= LanguageModel.provides]
WANTED = {"finetune", "joint", "ewc", "lwf", "si", "replay", "a-gem", "o-lora", "moe-lora", "pathweave", "frozen-lm"}
CARRY_NOTHING = {"frozen-lm", "l2p", "dualprompt", "coda-prompt"}
"""Nothing is learned beside the random host's layers, so its texts stay its own."""
COLOURS, SHAPES = ("red", "green", "blue"), ("star", "dot", "box")
WIDTHS = {"image": 6, "sound": 5}
PLAN = (("captioning", "image"), ("answering", "sound"), ("captioning", "sound"))
LEARNS = TrainerSettings(epochs=16, batch_size=9, lr=0.02, clip=1.0, count_flops=False)
QUICK = replace(LEARNS, epochs=1)
every_method = pytest.mark.parametrize("name", NAMES)
every_delta = pytest.mark.parametrize("delta", DELTAS.names())


# the stream ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def host(tiny_lm, tmp_path_factory):
    """Return the tiny host with one layer, to be quick, and larger weights, so that it can be sure of something."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    network = LlamaForCausalLM.from_pretrained(tiny_lm, num_hidden_layers=1)
    with torch.no_grad():
        for name, p in network.named_parameters():
            if p.ndim == 2:
                p.mul_(40.0 if "lm_head" in name else 8.0)
    folder = tmp_path_factory.mktemp("louder-lm")
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_lm).save_pretrained(folder)
    return {"name": "checkpoint", "path": str(folder)}


@pytest.fixture(scope="session")
def stages(host):
    """Return the three stages, with the ids of their texts."""
    return planned(host, PLAN)


def planned(host, plan):
    """Return a stage for each task and modality, with the ids of its texts."""
    found = [stage_of(index, task, modality) for index, (task, modality) in enumerate(plan)]
    card = Card(title="made", licence="none", citation="none")
    stream = Stream(name="made", scenario="tasks", stages=tuple(found), kinds={"image": "image", "sound": "audio"},
                    class_names=(), card=card)  # fmt: skip
    return LanguageModel.ready(stream, LanguageModel.Settings(host=host, templates=False)).stages


def stage_of(index: int, task: str, modality: str) -> Stage:
    made = {split: samples_of(index, task, modality, split) for split in ("train", "valid", "test")}
    return Stage(index=index, name=f"{task} {modality}", task=task, modalities=(modality,),
                 widths={modality: WIDTHS[modality]}, **made)  # fmt: skip


def samples_of(index: int, task: str, modality: str, split: str) -> Samples:
    """Return samples of all nine things: two or three tokens each, with noise."""
    random = torch.Generator().manual_seed(100 * index + len(split))
    things = [(c, s) for _ in range(2 if split == "train" else 1) for c in range(3) for s in range(3)]
    code = torch.randn(6, WIDTHS[modality], generator=torch.Generator().manual_seed(WIDTHS[modality]))
    lengths = torch.tensor([2 + (row % 3 == 0) for row in range(len(things))])
    seen = torch.stack([2 * (code[c] + code[3 + s]) for c, s in things]).repeat_interleave(lengths, 0)
    flat = seen + 0.1 * torch.randn(seen.shape, generator=random)
    answers = [COLOURS[c] if task == "answering" else f"a {COLOURS[c]} {SHAPES[s]}" for c, s in things]
    prompt = "what colour is it ?" if task == "answering" else f"describe the {modality} ."
    n = len(things)
    columns = {"task": [task] * n, "prompt": [prompt] * n, "answer": answers,
               "references": [json.dumps([answer]) for answer in answers]}  # fmt: skip
    return Samples(
        np.array([f"{index}-{split}-{row}" for row in range(n)]),
        {modality: Tokens(flat, lengths.cumsum(0) - lengths, lengths)},
        {modality: torch.ones(n, dtype=torch.bool)},
        torch.full((n,), -1),
        {name: np.array(values, dtype=np.str_) for name, values in columns.items()},
    )


# a learner ----------------------------------------------------------------------------------------------------


@pytest.fixture
def learner(host):
    """Return a function that makes a trainer over a new model, with the method's own parts, and a new method."""

    def made(name, *, settings=None, trainer=QUICK, seed=3, **model) -> Trainer:
        kind = METHODS.get(name)
        fields = LanguageModel.Settings.__dataclass_fields__
        parts = {key: value for key, value in kind.parts.items() if key in fields}
        model = LanguageModel(LanguageModel.Settings(**{"host": host, "most": 5, **parts, **model}), seed=seed)
        return Trainer(kind(model, kind.Settings(**(settings or {})), randomness=Randomness(seed)), trainer)

    return made


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
    assert suite.loss(method, test) < (0.8 if name == "frozen-lm" else 0.5) * untrained  # a random host reads no bridge
    assert name in CARRY_NOTHING or suite.right(method, test) > 0.3  # of nine texts
    before, random = suite.fingerprint(trainer), torch.get_rng_state()
    method.model.train()
    found, batch = suite.logits(method, test), test.batch(torch.arange(len(test)))
    written = method.answer(batch)
    assert not found.requires_grad and found.shape == (4 * len(test), method.model.loaded.vocabulary)
    assert method.model.training, "a prediction must leave the model's mode as it was"
    assert suite.fingerprint(trainer) == before, "a prediction must not change the state"
    assert bool((torch.get_rng_state() == random).all()), "a prediction must not draw"
    # nor depend on what else is in the batch, in which order, and on padding
    torch.testing.assert_close(suite.logits(method, test, 4), found, rtol=1e-4, atol=1e-4)
    assert method.answer(batch.take(torch.arange(len(test)).flip(0))) == written[::-1]
    assert method.answer(batch.join(stages[1].test.batch(torch.arange(2))).take(slice(0, len(test)))) == written
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
    suite.learn(whole, stages, last=1)
    image = digest(dict(whole.method.model.bridges["image"].state_dict()))
    suite.learn(whole, stages, first=1)

    for resumed in suite.resumed(lambda: learner(name), whole, stages, tmp_path):
        model = resumed.method.model
        assert digest(dict(model.loaded.network.state_dict())) == host, "the host must stay as it is"
        if not hasattr(whole.method, "memory") and not whole.method.looks_back:
            assert digest(dict(model.bridges["image"].state_dict())) == image, "nothing was seen of images since"


def test_moincl_goes_on_at_every_step_of_a_stage_with_pseudo_targets(host, learner, tmp_path, suite):
    """The targets are made before the first step, by a model that is not there any more when the run goes on."""
    stages = planned(host, (("captioning", "sound"), ("answering", "sound")))
    trainer = learner("moincl", trainer=replace(QUICK, epochs=2))
    folders, made = [], []

    def pause() -> None:
        if trainer.method.clock.stage == 1:
            folders.append(tmp_path / str(len(folders)))
            made.append(len(trainer.method.pseudo))
            save_state(folders[-1], trainer.state_dict(inside=True))

    trainer.pause = pause
    whole = suite.fingerprint(suite.learn(trainer, stages))
    assert len(folders) == 4 and all(made), "each step is saved, and there are pseudo targets"
    for folder in folders:
        resumed = learner("moincl", trainer=replace(QUICK, epochs=2))
        resumed.load_state_dict(load_state(folder), inside=True)
        resumed.fit(stages[1])
        assert suite.fingerprint(resumed) == whole


@every_method
def test_takes_samples_that_miss_a_modality_a_stage_of_one_sample_and_batches_in_parts(name, stages, learner, suite):
    image, sound = stages[0].train.subset(torch.arange(9)), stages[2].train.subset(torch.arange(9))
    has = torch.arange(9) % 3 != 0
    mixed = replace(
        image, values={**image.values, **sound.values}, present={"image": torch.ones(9).bool(), "sound": has}
    )
    both = replace(stages[0], modalities=("image", "sound"), widths=WIDTHS, train=mixed)
    one = replace(stages[1], train=stages[1].train.subset(torch.arange(1)), earlier=(both,))
    method = suite.learn(learner(name, trainer=replace(QUICK, accumulate=2)), [both, one]).method
    for modality in ("image", "sound"):
        alone = mixed.only([modality])
        rows = mixed.present[modality].nonzero()[:, 0]
        present = {m: v & torch.tensor(m == modality) for m, v in mixed.present.items()}
        dropped = replace(mixed, present=present).subset(rows)
        torch.testing.assert_close(suite.logits(method, dropped), suite.logits(method, alone), rtol=1e-4, atol=1e-4)


# what single methods promise ----------------------------------------------------------------------------------


def test_a_huge_strength_learns_nothing_and_forgets_nothing(stages, learner, suite):
    first, second = replace(stages[2], index=0, earlier=()), replace(stages[1], index=1)  # sounds both times
    lost, unlearned = {}, {}
    for name, settings in (("finetune", {}), ("ewc", {"strength": 1e9}), ("lwf", {"strength": 1e5})):
        trainer = suite.learn(learner(name, settings=settings, trainer=LEARNS), [first])
        before = [suite.loss(trainer.method, stage.train) for stage in (first, second)]
        suite.learn(trainer, [second])
        after = [suite.loss(trainer.method, stage.train) for stage in (first, second)]
        lost[name], unlearned[name] = after[0] - before[0], after[1] / before[1]
    assert lost["finetune"] > 3 and unlearned["finetune"] < 0.05
    assert abs(lost["ewc"]) < 0.05 and unlearned["ewc"] > 0.9
    assert lost["lwf"] < 0.7 * lost["finetune"] and unlearned["lwf"] > 0.9  # it never sees the old prompts


def test_another_seed_is_another_run(stages, learner, suite):
    runs = [suite.learn(learner("finetune", seed=seed), stages, last=1) for seed in (3, 3, 4)]
    assert suite.fingerprint(runs[0]) == suite.fingerprint(runs[1])
    assert suite.fingerprint(runs[0])[0] != suite.fingerprint(runs[2])[0]


def test_an_old_modality_stays_bit_for_bit(stages, learner, suite):
    for name in ("pathweave", "frozen-lm"):  # they share nothing that later modalities train
        trainer = suite.learn(learner(name), stages, last=1)
        before = suite.logits(trainer.method, stages[0].test)
        assert torch.equal(suite.logits(suite.learn(trainer, stages, first=1).method, stages[0].test), before)


@pytest.mark.parametrize("policy", ["reservoir", "class-balanced"])
def test_a_memory_keeps_texts_of_different_lengths(policy, stages, learner, suite):
    method = suite.learn(learner("replay", settings={"memory": 30, "policy": policy}), stages).method
    known = {(*row,) for stage in stages for row in trimmed(stage.train.sequences["answer"])}
    kept = method.memory.all()
    assert len(kept) == 30 and {(*row,) for row in trimmed(kept.columns["answer"])} <= known
    lengths = {len(row) for row in trimmed(kept.columns["answer"])}
    assert lengths == {2, 4}, "answers of one word and of three, each with its end"
    assert set(kept.values) == {"image", "sound"}
    assert bool((kept.has("image") ^ kept.has("sound")).all())


def test_a_memory_that_compares_representations_is_refused(learner):
    with pytest.raises(SettingsError, match="'herding' compares samples by the model's representations"):
        learner("replay", settings={"policy": "herding"})


def trimmed(ids: torch.Tensor) -> list[list[int]]:
    return [row[row >= 0].tolist() for row in ids]


# deltas -------------------------------------------------------------------------------------------------------


@pytest.fixture
def over(host):
    """Return a function that makes a model with a delta, grown by some stages."""

    def made(delta, stages) -> LanguageModel:
        model = LanguageModel(LanguageModel.Settings(host=host, delta=delta, most=5), seed=1)
        for stage in stages:
            model.grow(stage)
        return model

    return made


def of_all(stages, rows: int = 2):
    """Return a batch with rows of images, of sounds, and of text alone, prompts of two lengths."""
    image, sound = (stage.test.batch(torch.arange(rows)) for stage in stages[:2])
    text = replace(stages[1].test.batch(torch.arange(1)), values={}, valid={}, present={})
    return image.join(sound).join(text)


@every_delta
def test_a_new_delta_is_nothing(delta, stages, over):
    model, bare = over(delta, stages[:1]), over(None, stages[:1])
    bare.bridges.load_state_dict(model.bridges.state_dict())
    batch = stages[0].test.batch(torch.arange(4))
    assert torch.equal(model.predict(batch).logits, bare.predict(batch).logits)
    assert model.answer(batch) == bare.answer(batch)


@every_delta
def test_growing_changes_nothing_that_was_there(delta, stages, over, suite):
    model = suite.stirred(over(delta, stages[:1]))
    batch = stages[0].test.batch(torch.arange(4))
    before, held = model.predict(batch).logits.clone(), {n: p.clone() for n, p in model.named_parameters()}
    model.grow(stages[1])
    assert all(torch.equal(p, held[n]) for n, p in model.named_parameters() if n in held)
    torch.testing.assert_close(model.predict(batch).logits, before, rtol=1e-5, atol=1e-5)
    suite.stirred(model).grow(stages[2])
    assert any(p.requires_grad for p in model.deltas.parameters())


@every_delta
def test_a_delta_is_rebuilt_with_what_is_frozen(delta, stages, over, suite):
    model = suite.stirred(over(delta, stages), trained=False)
    twin, batch = model.rebuilt(model.state_tree()), of_all(stages)
    assert torch.equal(twin.predict(batch).logits, model.predict(batch).logits)
    assert twin.trainable().keys() == model.trainable().keys()
    teacher, wanted = model.frozen_copy(), model.predict(batch).logits.clone()
    suite.stirred(model)
    assert torch.equal(teacher.predict(batch).logits, wanted)
    assert not torch.equal(model.predict(batch).logits, wanted)


@every_delta
@pytest.mark.parametrize("beams", [1, 3])
def test_rows_of_several_modalities_write_what_each_writes_alone(delta, beams, stages, over, suite):
    model, batch, how = suite.stirred(over(delta, stages), trained=False), of_all(stages), Decoding(most=5, beams=beams)
    together = model.answer(batch, how)
    assert together == [model.answer(batch.take(slice(row, row + 1)), how)[0] for row in range(len(batch))]
    assert len(set(together)) > 1
    alone = torch.cat([model.predict(batch.take(slice(row, row + 1))).logits for row in range(len(batch))])
    torch.testing.assert_close(model.predict(batch).logits, alone, rtol=1e-4, atol=1e-4)


@every_delta
def test_what_a_delta_trains_gets_a_gradient_and_is_reported(delta, stages, over, suite):
    model = suite.stirred(over(delta, stages[:2]), trained=False).train()
    model.task_loss(model(stages[1].train.batch(torch.arange(9)))).backward()
    held = dict(model.deltas.named_parameters())
    assert {n for n, p in held.items() if p.grad is not None} == {n for n, p in held.items() if p.requires_grad}
    names = {name for name in model.trainable() if name.startswith("deltas.")}
    assert names and all(f"deltas.{n}" in names for n, p in held.items() if p.requires_grad)
    assert all(p.grad is None for p in model.loaded.network.parameters())
    assert not any("network" in name for name in model.state_dict()), "the host is no part of a state"
