"""The prompting methods: their head's loss by hand, and each with its prompts inside frozen layers, end to end."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.api import stream as raw_stream
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.layers.prompts.base import PROMPTS
from polymnia.methods.base import METHODS
from polymnia.methods.fisher import fisher_diagonal, log_likelihood
from polymnia.models.classifier import Classifier
from polymnia.state import join, split
from polymnia.training.build import build_learner
from polymnia.training.checkpoint import digest
from polymnia.training.run import encoded
from polymnia.training.settings import run_settings
from polymnia.training.trainer import Trainer

NAMES = ("coda-prompt", "dualprompt", "l2p")
SMALL = {"coda-prompt": {"components": 4, "length": 3}, "dualprompt": {"general": 2, "expert": 4},
         "l2p": {"pool": 6, "length": 2, "top": 3}}  # fmt: skip
ENCODERS = {
    "audio": {"name": "random-transformer", "width": 16, "layers": 2, "seed": 1},
    "video": {"name": "random-transformer", "width": 24, "layers": 3, "seed": 2},
}
every = pytest.mark.parametrize("name", NAMES)


def settings(name, **model):
    prompts = {"name": name, **SMALL[name]}
    return run_settings(
        {"stream": {"name": "patterns"}, "encoders": ENCODERS, "method": name, "seed": 0,
         "model": {"name": "adapted", "width": 32, "prompts": prompts, **model},
         "trainer": {"epochs": 6, "batch_size": 24, "lr": 0.01, "optimiser": "adamw", "weight_decay": 0.1,
                     "count_flops": False, "accelerator": "cpu"}}
    )  # fmt: skip


def learner(name, kinds):
    asked = settings(name)
    return Trainer(build_learner(asked, kinds), asked.trainer)


def learn(trainer, stages):
    for stage in stages:
        trainer.method.model.grow(stage)
        trainer.fit(stage)
    return trainer


def logits(method, samples):
    return torch.cat([method.predict(batch).logits for batch in method.batches(samples)])


@pytest.fixture(scope="module")
def stream():
    """Three stages of two classes, each class a pair of patterns."""
    raw = raw_stream("patterns", rule="pairs", classes=6, patterns=(5, 5), stages=3, train_samples=24, noise=0.5)
    return encoded(raw, settings("l2p"))


@pytest.mark.parametrize("name", NAMES)
def test_only_the_current_stages_classes_compete(name):
    kind, model = METHODS.get(name), Classifier(Classifier.Settings(width=4))
    for index, classes in enumerate([(0, 1), (2, 3)]):
        model.grow(Outline(index=index, name=str(index), modalities=("x",), classes=classes, widths={"x": 3}))
    batch = Batch({"x": torch.randn(4, 1, 3)}, torch.tensor([2, 3, -1, 3]))
    terms = kind(model).loss(batch)
    raw = model(batch).logits
    torch.testing.assert_close(terms["task"], cross_entropy(raw[[0, 1, 3], 2:], torch.tensor([0, 1, 1])))
    terms["task"].backward()
    assert float(model.head.weight.grad[:2].abs().sum()) == 0.0
    assert float(model.head.weight.grad[2:].abs().sum()) > 0.0
    plain = kind(model, kind.Settings(local=False)).loss(batch)
    torch.testing.assert_close(plain["task"], cross_entropy(raw, batch.targets, ignore_index=-1))


@every
def test_brings_its_prompts_and_no_adapter(name):
    parts = METHODS.get(name).parts
    assert parts["adapter"] is None
    assert parts["prompts"]["name"] == name
    assert name in PROMPTS
    asked = run_settings({"stream": "patterns", "encoders": ENCODERS, "method": name, "model": "adapted"})
    method = build_learner(asked, {"audio": "table", "video": "table"})
    assert type(method.model.encoder.prompts) is PROMPTS.get(name)
    assert method.model.adapters == []


@every
def test_learns_a_stream_and_freezes_for_good(name, stream):
    trainer = learner(name, stream.kinds)
    model, counts = trainer.method.model, []
    for stage in stream.stages:
        model.grow(stage)
        frozen = {path: p.detach().clone() for path, p in model.named_parameters() if not p.requires_grad}
        trainer.fit(stage)
        after = dict(model.named_parameters())
        assert all(torch.equal(after[path], value) for path, value in frozen.items())  # under AdamW, with decay
        counts.append(len(frozen))
        scores = logits(trainer.method, stage.test)
        assert bool(scores.isfinite().all())
        own = scores[:, list(stage.classes)].argmax(1)
        assert float((torch.tensor(stage.classes)[own] == stage.test.targets).float().mean()) > 0.9
    a_stage = {"coda-prompt": 2 * 2 * 3, "dualprompt": 2 * (1 + 1), "l2p": 0}[name]  # of two modalities in two blocks
    assert counts == [0, a_stage, 2 * a_stage]


@every
def test_prompts_are_trained_and_change_what_is_predicted(name, stream):
    trainer = learner(name, stream.kinds)
    stage, model = stream[0], trainer.method.model
    model.grow(stage)
    before = {path: p.detach().clone() for path, p in model.encoder.prompts.named_parameters()}
    trainer.fit(stage)
    moved = {path for path, p in model.encoder.prompts.named_parameters() if not torch.equal(p, before[path])}
    assert moved == before.keys()
    trained = logits(trainer.method, stage.test)
    with torch.no_grad():
        for path, p in model.encoder.prompts.named_parameters():
            p.copy_(before[path])
    assert not torch.allclose(logits(trainer.method, stage.test), trained, atol=1e-3)


@every
def test_goes_on_from_a_saved_state_bit_for_bit(name, stream):
    whole = learn(learner(name, stream.kinds), stream.stages)
    stopped, resumed = (learner(name, stream.kinds) for _ in range(2))
    learn(stopped, stream.stages[:1])
    resumed.load_state_dict(join(*split(stopped.state_dict(inside=False))), inside=False)
    learn(resumed, stream.stages[1:])
    assert digest(resumed.method.model.state_tree()) == digest(whole.method.model.state_tree())
    assert resumed.method.model.trainable().keys() == whole.method.model.trainable().keys()


@every
def test_a_missing_modality_changes_nothing(name, stream):
    method = learn(learner(name, stream.kinds), stream.stages[:2]).method
    batch = stream[1].test.batch(torch.arange(12))
    has = torch.arange(12) % 2 == 0
    gaps = Batch(dict(batch.values), batch.targets, dict(batch.valid), {"audio": has, "video": None})
    noise = Batch({**batch.values, "audio": torch.where(has[:, None, None], batch.values["audio"], 7.0)}, batch.targets,
                  dict(batch.valid), {"audio": has, "video": None})  # fmt: skip
    mixed = method.predict(gaps).logits
    torch.testing.assert_close(method.predict(noise).logits, mixed)
    torch.testing.assert_close(mixed[has], method.predict(batch).logits[has], rtol=1e-4, atol=1e-4)
    alone = method.predict(batch.only(["video"])).logits
    torch.testing.assert_close(mixed[~has], alone[~has], rtol=1e-4, atol=1e-4)
    method.model.train()
    terms = method.loss(gaps)
    sum(terms.values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in method.model.parameters() if p.grad is not None)


@every
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_fisher_is_that_of_a_loop_over_samples(name, stream):
    model = learn(learner(name, stream.kinds), stream.stages[:2]).method.model
    batch = stream[1].test.batch(torch.arange(4))
    fisher = fisher_diagonal(model, [batch])
    model.eval()
    for path, p in model.trainable().items():
        squares = []
        for row in range(4):
            loss = log_likelihood(model(batch.take(slice(row, row + 1))))
            (gradient,) = torch.autograd.grad(loss, p, allow_unused=True)
            squares.append(torch.zeros_like(p) if gradient is None else gradient.square())
        torch.testing.assert_close(fisher[path], torch.stack(squares).mean(0), rtol=1e-3, atol=1e-7)
