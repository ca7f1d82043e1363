from dataclasses import replace

import torch

from polymnia.data.stage import Outline
from polymnia.methods.joint import Joint, union
from polymnia.models.classifier import Classifier
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import digest
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer


def test_trains_on_everything_so_far(digits):
    method = Joint(Classifier())
    for number in (0, 1, 4):
        samples = method.training_samples(digits[number])
        wanted = [i for stage in digits.stages[: number + 1] for i in stage.train.ids.tolist()]
        assert samples.ids.tolist() == wanted


def test_what_it_keeps_is_counted(digits):
    method = Joint(Classifier())
    method.training_samples(digits[0])
    assert method.memory_bytes() == 0
    method.training_samples(digits[2])
    assert method.memory_bytes() == (len(digits[0].train) + len(digits[1].train)) * (64 + 40 + 16) * 4


def test_union_of_stages_with_different_modalities(digits):
    first = digits[0].train.only(["pixels"]).subset(torch.arange(3))
    second = digits[1].train.only(["spectrum", "projections"]).subset(torch.arange(2))
    both = union([first, second])
    batch = both.batch(torch.arange(5))
    assert batch.modalities == ["pixels", "projections", "spectrum"]
    assert batch.has("pixels").tolist() == [True] * 3 + [False] * 2
    assert batch.has("spectrum").tolist() == [False] * 3 + [True] * 2
    assert torch.equal(batch.values["pixels"][:3], first.batch(torch.arange(3)).values["pixels"])
    assert not batch.values["pixels"][3:].any()
    assert not batch.values["spectrum"][:3].any()
    assert batch.targets.tolist() == [*first.targets.tolist(), *second.targets.tolist()]


def grown(stages, **settings):
    model = Classifier(Classifier.Settings(width=8))
    return Trainer(Joint(model, Joint.Settings(**settings), randomness=Randomness(0)),
                   TrainerSettings(epochs=1, count_flops=False)), stages  # fmt: skip


def test_with_restart_the_path_does_not_matter(digits):
    """Whether earlier stages were trained or only grown by, the weights after a stage are the same."""
    digests = {}
    for restart in (True, False):
        for trained in (True, False):
            trainer, stages = grown(digits.stages[:2], restart=restart)
            trainer.method.model.grow(stages[0])
            if trained:
                trainer.fit(stages[0])
            trainer.method.model.grow(stages[1])
            trainer.fit(stages[1])
            digests[restart, trained] = digest(trainer.method.model.state_tree())
    assert digests[True, True] == digests[True, False]
    assert digests[False, True] != digests[False, False]


def test_restart_gives_the_weights_of_an_untrained_model(tiny_model, tiny_batch, tiny_stage):
    method, fresh = Joint(tiny_model()), tiny_model()
    for model in (method.model, fresh):
        model.grow(Outline(index=1, name="1", modalities=("x",), classes=(2,), widths={"x": 3}))
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(1.0)
    method.before_stage(replace(tiny_stage(tiny_batch(2)), index=1))
    assert digest(method.model.state_tree()) == digest(fresh.state_tree())


def test_is_the_upper_bound(digits, learned, fine_tuned):
    _, scores = learned("joint", digits)
    assert min(scores) > 0.9
    assert sum(scores) > sum(fine_tuned) + 1.0
