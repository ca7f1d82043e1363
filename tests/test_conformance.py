"""One suite over everything registered: what any method, and any part of a model, must do whatever it is.

A new method or part is tested here by being registered; nothing is to be added. Streams are small, of real digits.
"""

import dataclasses
import inspect
from dataclasses import replace

import pytest
import torch

from polymnia.data.modality import MODALITIES
from polymnia.data.samples import Samples
from polymnia.data.scenario import SCENARIOS
from polymnia.data.source import SOURCES
from polymnia.data.stage import Stage, Stream
from polymnia.encoders.base import ENCODERS
from polymnia.evaluation.accuracy import accuracy
from polymnia.evaluation.probes.base import PROBES
from polymnia.evaluation.scorers.base import SCORERS
from polymnia.hosts.base import HOSTS
from polymnia.layers.adapters.base import ADAPTERS
from polymnia.layers.codebooks.base import CODEBOOKS
from polymnia.layers.deltas.base import DELTAS
from polymnia.layers.fusion import FUSIONS
from polymnia.layers.heads import HEADS
from polymnia.layers.objectives.base import OBJECTIVES
from polymnia.layers.projectors import PROJECTORS
from polymnia.layers.prompts.base import PROMPTS
from polymnia.layers.translators.base import TRANSLATORS
from polymnia.memory.base import MEMORIES
from polymnia.methods.base import METHODS, Method
from polymnia.methods.joint import union
from polymnia.models.adapted import Adapted
from polymnia.models.base import MODELS, Model
from polymnia.models.classifier import Classifier
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import digest, load_state, save_state
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

WANTED = ("a-gem", "afc", "coda-prompt", "combined", "cope", "cross-modality-adapters", "der++", "dualprompt",
          "er-ace", "ewc", "finetune", "gem", "icarl", "joint", "l2p", "lwf", "moe-adapters", "ncm", "podnet",
          "ranpac", "ranpac-average", "replay", "si", "slda")  # fmt: skip
SMALL = {"ranpac": {"features": 60}, "ranpac-average": {"features": 60}, "moe-adapters": {"freeze": False},
         "cross-modality-adapters": {"align": 0.0, "relate": 0.0}}  # fmt: skip
"""Settings that only make a method quicker, or take from it what a classifier without views and experts has not."""
SENSORS = {"pixels": 64, "projections": 16, "spectrum": 40}
"""The digits' modalities and their widths."""
LEARNS = TrainerSettings(epochs=6, batch_size=16, lr=0.01, count_flops=False)
QUICK = replace(LEARNS, epochs=2)

INSIDE = " on adapted"
CLASSIFY = [name for name in METHODS if METHODS.get(name).needs <= Classifier.provides]
"""Those that need a shared space or texts are in test_conformance_spaces.py and test_conformance_language.py, where all
others are tried too that can be."""
BRING_PARTS = [name for name in CLASSIFY if METHODS.get(name).parts]
"""Methods whose published system has parts inside the encoders; they are tried there too."""
every_method = pytest.mark.parametrize("name", [*CLASSIFY, *(f"{name}{INSIDE}" for name in BRING_PARTS)])
both_streams = pytest.mark.parametrize("stream", ["whole", "with gaps"], indirect=True)


# streams ------------------------------------------------------------------------------------------------------


def streamed(stream: Stream, stages: list[Stage]) -> Stream:
    """Return a stream of these stages, numbered and chained anew."""
    chained: list[Stage] = []
    for index, stage in enumerate(stages):
        chained.append(replace(stage, index=index, name=f"{index + 1:02d}", earlier=tuple(chained)))
    return replace(stream, stages=tuple(chained))


def shortened(stage: Stage, train: int, *, start: int = 0) -> Stage:
    """Return a stage with a few of its samples."""
    rows = torch.arange(start, min(start + train, len(stage.train)))
    return replace(
        stage, train=stage.train.subset(rows), test=stage.test.subset(torch.arange(min(40, len(stage.test))))
    )


@pytest.fixture(scope="session")
def streams(digits, digits_with_gaps):
    return {
        name: streamed(stream, [shortened(stage, 48) for stage in stream.stages[:3]])
        for name, stream in (("whole", digits), ("with gaps", digits_with_gaps))
    }


@pytest.fixture
def stream(streams, request):
    return streams[request.param]


def seeing(stage: Stage, *modalities: str) -> Stage:
    """Return a stage in which only these modalities were ever observed."""
    parts = {split: getattr(stage, split).only(modalities) for split in ("train", "valid", "test")}
    return replace(
        stage, modalities=tuple(sorted(modalities)), widths={m: stage.widths[m] for m in modalities}, **parts
    )


def of_classes(stage: Stage, *classes: int, train: int = 24) -> Stage:
    """Return a stage with the samples of some classes only."""
    held = {}
    for split in ("train", "valid", "test"):
        samples: Samples = getattr(stage, split)
        wanted = torch.isin(samples.targets, torch.tensor(classes))
        held[split] = samples.subset(wanted.nonzero().flatten()[: train if split == "train" else 20])
    return replace(stage, classes=tuple(classes), **held)


# a learner ----------------------------------------------------------------------------------------------------


class Stop(Exception):
    """Training was stopped on purpose."""


def learner(name: str, *, settings: dict | None = None, trainer: TrainerSettings = QUICK, seed: int = 3) -> Trainer:
    """Return a trainer over a new model and a new method; inside encoders there is more to train: it gets longer."""
    method, kind, inside = name.removesuffix(INSIDE), method_of(name), name.endswith(INSIDE)
    model = adapted(kind, seed) if inside else Classifier(Classifier.Settings(width=24, dropout=0.1), seed=seed)
    held = kind.Settings(**((SMALL.get(method, {}) if not inside else {}) | (settings or {})))
    longer = replace(trainer, epochs=3 * trainer.epochs) if inside and trainer is LEARNS else trainer
    return Trainer(kind(model, held, randomness=Randomness(seed)), longer)


def method_of(name: str) -> type[Method]:
    return METHODS.get(name.removesuffix(INSIDE))


def adapted(kind: type[Method], seed: int) -> Model:
    """Return the method's published model over two random layers for each of the digits' sensors."""
    parts = {name: value for name, value in kind.parts.items() if name in Adapted.Settings.__dataclass_fields__}
    model = Adapted(Adapted.Settings(width=24, **parts), seed=seed)
    encoder = ENCODERS.get("random-transformer")
    inside = {m: encoder(encoder.Settings(width=w, layers=2, heads=2, seed=w)) for m, w in SENSORS.items()}
    model.attach({m: each.cut(0)[1] for m, each in inside.items()})
    return model


def learn(trainer: Trainer, stream: Stream, *, first: int = 0, last: int | None = None) -> Trainer:
    """Train on the stages from the first to the last."""
    for stage in stream.stages[first:last]:
        trainer.method.model.grow(stage)
        trainer.fit(stage)
        assert finite(trainer.method)
    return trainer


def finite(method: Method) -> bool:
    return all(bool(p.isfinite().all()) for p in method.model.parameters())


def logits(method: Method, samples: Samples, size: int = 256) -> torch.Tensor:
    return torch.cat([method.predict(batch).logits for batch in method.batches(samples, size)])


def fingerprint(trainer: Trainer) -> tuple[str, str]:
    """Return digests of the model's and of the method's state."""
    return digest(trainer.method.model.state_tree()), digest(trainer.method.state_dict())


# what a method declares ---------------------------------------------------------------------------------------


def test_every_method_of_the_plan_is_there():
    assert set(WANTED) <= set(METHODS.names())


@every_method
def test_names_its_paper(name):
    text = inspect.getdoc(method_of(name)) or ""
    assert "Source:" in text, f"the docstring of {name} must name its paper, and the equation"


@every_method
def test_says_what_turns_it_off(name):
    off = method_of(name).off
    assert off is not None, f"{name}.off must hold the settings that make it fine-tuning, or say why there are none"
    if isinstance(off, str):
        assert len(off.split()) >= 5, f"{name}.off must say why"
    else:
        method_of(name).Settings(**off)


@pytest.mark.parametrize(
    "registry",
    [METHODS, MODELS, ENCODERS, SOURCES, SCENARIOS, ADAPTERS, PROMPTS, DELTAS],
    ids=lambda registry: registry.kind,
)
def test_settings_are_frozen_dataclasses_with_defaults(registry):
    for name in registry:
        kind = registry.get(name).Settings
        assert dataclasses.is_dataclass(kind), name
        assert kind.__dataclass_params__.frozen, name
        if registry in (METHODS, MODELS):
            assert kind(**dataclasses.asdict(kind())) == kind(), name


ALL = [METHODS, MODELS, ENCODERS, SOURCES, SCENARIOS, MODALITIES, MEMORIES, FUSIONS, HEADS, PROJECTORS, ADAPTERS,
       PROMPTS, PROBES, CODEBOOKS, OBJECTIVES, TRANSLATORS, SCORERS, HOSTS, DELTAS]  # fmt: skip


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.kind)
def test_every_part_is_named_and_described(registry):
    assert registry.names()
    for name in registry:
        part = registry.get(name)
        assert getattr(part, "name", None) == name
        assert inspect.getdoc(part), name


@pytest.mark.parametrize("registry", [SOURCES, ENCODERS, HOSTS], ids=lambda registry: registry.kind)
def test_cards_state_licence_and_citation(registry):
    for name in registry:
        card = registry.get(name).card
        assert card.title and card.licence and card.citation, name


# what a method does -------------------------------------------------------------------------------------------


@every_method
@both_streams
def test_learns_the_first_stage_and_predicts_without_side_effects(name, stream):
    first = stream[0]
    trainer = learn(learner(name, trainer=LEARNS), stream, last=1)
    method = trainer.method
    assert accuracy(method, first.test).score > 0.75  # of two classes
    assert method.memory_bytes() >= 0
    before, random = fingerprint(trainer), torch.get_rng_state()
    method.model.train()
    output = method.predict(first.test.batch(torch.arange(8)))
    assert not output.logits.requires_grad
    assert output.logits.shape == (8, len(first.classes))
    assert bool(output.logits.isfinite().all())
    assert method.model.training, "a prediction must leave the model's mode as it was"
    assert fingerprint(trainer) == before, "a prediction must not change the state"
    assert bool((torch.get_rng_state() == random).all()), "a prediction must not draw"
    # nor depend on what else is in the batch
    torch.testing.assert_close(logits(method, first.test, 7), logits(method, first.test), rtol=1e-4, atol=1e-4)


@every_method
@both_streams
def test_is_fine_tuning_when_it_is_off(name, stream):
    off = method_of(name).off
    if isinstance(off, str):
        assert len(off.split()) > 4, "a method that cannot be turned off says why"
        return
    ours = learn(learner(name, settings=dict(off)), stream, last=2).method
    same = ours.model.blank()  # fine-tuning of the very same model
    plain = learn(Trainer(METHODS.get("finetune")(same, randomness=Randomness(3)), QUICK), stream, last=2).method
    assert digest(ours.model.state_tree()) == digest(plain.model.state_tree())
    assert torch.equal(logits(ours, stream[1].test), logits(plain, stream[1].test))


@every_method
@both_streams
def test_goes_on_from_a_saved_state_as_if_never_stopped(name, stream, tmp_path):
    whole = learn(learner(name), stream)

    def pause() -> None:
        if trainer.method.clock.stage == 1 and trainer.position.steps_done == 2:
            save_state(tmp_path / "inside", trainer.state_dict(inside=True))
            raise Stop

    trainer = learner(name)
    trainer.pause = pause
    learn(trainer, stream, last=1)
    save_state(tmp_path / "between", trainer.state_dict(inside=False))
    early = logits(trainer.method, stream[0].test)
    with pytest.raises(Stop):
        learn(trainer, stream, first=1)

    torch.manual_seed(12345)  # what else the process drew must not matter
    between = learner(name)
    between.load_state_dict(load_state(tmp_path / "between"), inside=False)
    assert torch.equal(logits(between.method, stream[0].test), early)  # a saved state serves as it is
    learn(between, stream, first=1)

    inside = learner(name)
    inside.load_state_dict(load_state(tmp_path / "inside"), inside=True)
    inside.fit(stream[1])
    learn(inside, stream, first=2)

    for resumed in (between, inside):
        assert fingerprint(resumed) == fingerprint(whole)
        assert resumed.method.memory_bytes() == whole.method.memory_bytes()
        for stage in stream:
            assert torch.equal(logits(resumed.method, stage.test), logits(whole.method, stage.test))


@every_method
def test_the_same_seed_gives_the_same_run_and_another_does_not(name, streams):
    runs = [learn(learner(name, seed=seed), streams["with gaps"], last=2) for seed in (3, 3, 4)]
    assert fingerprint(runs[0]) == fingerprint(runs[1])
    assert fingerprint(runs[0])[0] != fingerprint(runs[2])[0]


@every_method
def test_scores_every_subset_of_modalities(name, streams):
    method = learn(learner(name), streams["whole"], last=2).method
    test = streams["whole"][1].test
    for modality in test.modalities:
        alone = logits(method, test.only([modality]))
        assert bool(alone.isfinite().all())
        dropped = replace(test, present={m: v & torch.tensor(m == modality) for m, v in test.present.items()})
        torch.testing.assert_close(logits(method, dropped), alone, rtol=1e-4, atol=1e-4)


@every_method
def test_takes_stages_of_one_class_and_of_one_sample(name, streams):
    stages = [stage for stage in streams["whole"]]
    single = streamed(streams["whole"], [
        of_classes(stages[0], 0), of_classes(stages[0], 1), of_classes(stages[1], 2, train=1),
        of_classes(stages[1], 3, train=1), of_classes(stages[2], 4, 5),
    ])  # fmt: skip
    method = learn(learner(name), single).method
    assert logits(method, single[4].test).shape[1] == 6
    assert bool(logits(method, single[4].test).isfinite().all())


@every_method
def test_takes_classes_that_come_back(name, streams):
    stages = streams["with gaps"].stages
    first, second = stages[0].train, stages[1].train

    def mixed(at: slice) -> Stage:
        train = union([first.subset(torch.arange(len(first))[at]), second.subset(torch.arange(len(second))[at])])
        return replace(stages[0], train=train, classes=tuple(train.targets.unique().tolist()))

    blurry = streamed(streams["with gaps"], [mixed(slice(0, 24)), stages[1], mixed(slice(24, 48)), stages[0]])
    method = learn(learner(name), blurry).method
    assert accuracy(method, stages[0].test).score > 0.4  # of four classes, the last seen again


@every_method
@pytest.mark.parametrize(
    "sensors",
    [
        [("pixels",), ("pixels", "spectrum"), ("pixels", "projections", "spectrum")],  # they come one by one
        [("projections", "spectrum"), ("pixels",), ("spectrum",)],  # a stage may share none with the one before
    ],
    ids=["arriving", "inconsistent"],
)
def test_takes_a_modality_that_comes_later(name, sensors, streams, tmp_path):
    stages = [seeing(stage, *names) for stage, names in zip(streams["whole"], sensors, strict=True)]
    stream = streamed(streams["whole"], stages)
    trainer = learn(learner(name), stream, last=2)
    save_state(tmp_path / "state", trainer.state_dict(inside=False))
    learn(trainer, stream, first=2)
    again = learner(name)
    again.load_state_dict(load_state(tmp_path / "state"), inside=False)
    learn(again, stream, first=2)
    assert fingerprint(again) == fingerprint(trainer)
    for stage in stream:
        scores = logits(trainer.method, stage.test)
        assert torch.equal(logits(again.method, stage.test), scores)
        assert scores.shape == (len(stage.test), 6)
        assert bool(scores.isfinite().all())
    everything = streams["whole"][2].test  # modalities that the stage's training never had
    assert bool(logits(trainer.method, everything).isfinite().all())


@every_method
def test_takes_a_batch_in_parts(name, streams):
    trainer = learner(name, trainer=replace(QUICK, accumulate=2, clip=1.0, patience=2))
    learn(trainer, streams["with gaps"], last=2)
    assert bool(logits(trainer.method, streams["with gaps"][1].test).isfinite().all())
