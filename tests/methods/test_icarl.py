import torch
from torch.nn.functional import normalize

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.memory.herding import herd
from polymnia.methods.icarl import ICaRL, remind

SECOND = Outline(index=1, name="1", modalities=("x",), classes=(2, 3), widths={"x": 3})


def cross(answer, logit):
    """The cross-entropy of a yes-or-no answer."""
    p = logit.sigmoid()
    return -(answer * p.log() + (1 - answer) * (1 - p).log())


def test_algorithm_3_new_classes_by_label_and_old_ones_by_the_teacher(tiny_model, tiny_batch, tiny_stage):
    method, old, new = ICaRL(tiny_model(2), ICaRL.Settings(memory=2)), tiny_batch(0, 1), tiny_batch(2, 3, 3, seed=1)
    method.after_stage(tiny_stage(old))
    teacher = method.teacher
    method.model.grow(SECOND)
    method.before_stage(tiny_stage(new, index=1))
    with torch.no_grad():
        method.model.head.weight.mul_(0.5)
    loss = method.loss(new)["task"]
    lost = []
    for batch in (new, old):
        logits, said = method.model(batch).logits, teacher.predict(batch).logits.sigmoid().clone()
        for row, target in enumerate(batch.targets.tolist()):
            answers = [*said[row], *[torch.tensor(float(target == c)) for c in (2, 3)]]
            lost.append(sum(cross(a, z) for a, z in zip(answers, logits[row], strict=True)))
    assert torch.allclose(loss, torch.stack(lost).mean())
    loss.backward()
    assert method.model.head.weight.grad.any() and all(p.grad is None for p in teacher.parameters())


def test_the_first_stage_is_by_labels_alone(tiny_model, tiny_batch):
    method, batch = ICaRL(tiny_model(2)), tiny_batch(0, 1, 1)
    logits = method.model(batch).logits
    wanted = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert torch.allclose(method.loss(batch)["task"], cross(wanted, logits).sum(1).mean())


def test_rows_without_a_target_do_not_count(tiny_model, tiny_batch):
    method, batch = ICaRL(tiny_model(2)), tiny_batch(0, 1)
    alone = method.loss(batch)["task"]
    more = batch.join(tiny_batch(-1, seed=5))
    assert torch.allclose(method.loss(more)["task"], alone)


def test_a_teacher_says_nothing_of_rows_it_cannot_see(tiny_model):
    teacher = tiny_model(2).frozen_copy()
    sees = torch.tensor([True, False])
    batch = Batch({"x": torch.ones(2, 1, 3), "y": torch.ones(2, 1, 5)}, torch.tensor([2, 2]), present={"x": sees})
    wanted = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    remind(wanted, teacher, batch)
    assert torch.equal(wanted[0, :2], teacher.predict(batch).logits[0].sigmoid())
    assert wanted[1].tolist() == [0.0, 0.0, 1.0]
    blind = wanted.clone()
    remind(blind, teacher, batch.only(["y"]))
    assert torch.equal(blind, wanted)


def test_exemplars_are_herded_and_the_nearest_of_their_means_is_predicted(tiny_model, tiny_batch, tiny_stage):
    method, batch = ICaRL(tiny_model(2), ICaRL.Settings(memory=6)), tiny_batch(*[0, 1] * 8)
    method.after_stage(tiny_stage(batch))
    features = normalize(method.model(batch).representations["joint"].detach(), dim=1)
    means = []
    for c in (0, 1):
        own = features[batch.targets == c]
        means.append(normalize(own[herd(own, 3)].mean(0), dim=0))
    other = tiny_batch(*[0] * 10, seed=3)
    output = method.predict(other)
    mine = normalize(method.model(other).representations["joint"].detach(), dim=1)
    wanted = torch.stack([-((mine - mean) ** 2).sum(1) for mean in means], 1)
    assert torch.allclose(output.logits, wanted, atol=1e-5)
    assert not output.logits.requires_grad and method.model.training


def test_until_a_stage_ends_the_sigmoids_predict(tiny_model, tiny_batch, tiny_stage):
    method, batch = ICaRL(tiny_model(2)), tiny_batch(0, 1)
    assert torch.equal(method.predict(batch).logits, method.model.predict(batch).logits)
    method.after_stage(tiny_stage(batch))
    assert not torch.equal(method.predict(batch).logits, method.model.predict(batch).logits)
    method.model.grow(SECOND)
    method.before_stage(tiny_stage(tiny_batch(2, 3), index=1))
    assert torch.equal(method.predict(batch).logits, method.model.predict(batch).logits)


def test_a_class_without_exemplars_is_never_nearest(tiny_model, tiny_batch, tiny_stage):
    method = ICaRL(tiny_model(3), ICaRL.Settings(memory=2))  # room for two of three classes
    method.after_stage(tiny_stage(tiny_batch(*[0, 1, 2] * 5)))
    logits = method.predict(tiny_batch(*[2] * 20, seed=1)).logits
    assert (logits[:, 2] == -4).all() and (logits[:, :2] > -4).all()


def test_without_a_memory_it_distils_and_its_sigmoids_predict(digits, learned):
    method, scores = learned("icarl", digits, memory=0)
    assert method.means is None and method.teacher is not None
    assert scores[-1] > 0.9


def test_it_keeps_the_first_stage_where_fine_tuning_loses_it(digits, learned, fine_tuned):
    _, kept = learned("icarl", digits, memory=100)
    assert kept[0] > 0.8 + fine_tuned[0]
    assert kept[-1] > 0.8
