import torch
from torch.nn.functional import cross_entropy

from polymnia.methods.er_ace import ERACE, among_own
from polymnia.methods.finetune import Finetune


def test_the_batch_competes_among_its_own_classes_and_what_is_replayed_among_all(tiny_model, tiny_batch):
    method, old, new = ERACE(tiny_model(4), ERACE.Settings(draw=2)), tiny_batch(0, 1), tiny_batch(2, 3, 3, seed=1)
    method.memory.add(old)
    terms = method.loss(new)
    logits = method.model(new).logits
    assert torch.allclose(terms["task"], cross_entropy(logits[:, 2:], new.targets - 2))
    assert torch.allclose(terms["replay"], cross_entropy(method.model(old).logits, old.targets))


def test_the_batch_does_not_touch_the_rows_of_other_classes(tiny_model, tiny_batch):
    method = ERACE(tiny_model(4))
    method.loss(tiny_batch(2, 3, 2))["task"].backward()
    gradient = method.model.head.weight.grad
    assert not gradient[:2].any() and gradient[2:].any(1).all()


def test_by_hand():
    logits = torch.tensor([[1.0, 3.0, 2.0], [9.0, 0.0, 0.0]])
    # classes 0 and 1 only: ln(1 + e^(1 - 3)) and ln(1 + e^(0 - 9))
    wanted = (torch.log1p(torch.tensor(-2.0).exp()) + torch.log1p(torch.tensor(-9.0).exp())) / 2
    assert torch.allclose(among_own(logits, torch.tensor([1, 0])), wanted)


def test_a_sample_without_a_target_adds_no_class(tiny_model):
    logits = torch.tensor([[1.0, 3.0], [9.0, 0.0]])
    assert among_own(logits, torch.tensor([1, -1])).item() == 0.0


def test_a_batch_of_one_class_has_nothing_to_compete_with(tiny_model, tiny_batch):
    loss = ERACE(tiny_model(3)).loss(tiny_batch(1, 1))["task"]
    loss.backward()
    assert loss.item() == 0.0


def test_without_a_memory_it_is_fine_tuning(tiny_model, tiny_batch):
    model, batch = tiny_model(4), tiny_batch(2, 3)
    assert torch.equal(ERACE(model, ERACE.Settings(memory=0)).loss(batch)["task"], Finetune(model).loss(batch)["task"])


def test_it_keeps_the_first_stage_where_fine_tuning_loses_it(digits, learned, fine_tuned):
    _, kept = learned("er-ace", digits, memory=100)
    assert kept[0] > 0.8 + fine_tuned[0]
    assert kept[-1] > 0.7  # slower to learn: the price of asymmetry
