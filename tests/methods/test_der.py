import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.methods.der import DERpp, drift


def test_equation_6_over_a_memory_that_is_drawn_as_a_whole(tiny_model, tiny_batch):
    method, old, new = (
        DERpp(tiny_model(), DERpp.Settings(draw=3, alpha=0.3, beta=0.7)),
        tiny_batch(0, 1, 0),
        tiny_batch(1),
    )
    method.loss(old)
    kept = method.model(old).logits.detach()
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(0.1)  # as if it had been trained
    terms = method.loss(new)
    now = method.model(old).logits
    assert torch.allclose(terms["task"], cross_entropy(method.model(new).logits, new.targets))
    assert torch.allclose(terms["logits"], 0.3 * ((now - kept) ** 2).mean())
    assert torch.allclose(terms["replay"], 0.7 * cross_entropy(now, old.targets))


def test_logits_are_compared_on_the_classes_that_existed_when_they_were_kept(tiny_model, tiny_batch):
    method, old, new = DERpp(tiny_model(2), DERpp.Settings(draw=4)), tiny_batch(0, 1), tiny_batch(2, 3, seed=1)
    method.loss(old)
    kept = method.model(old).logits.detach()
    method.model.grow(Outline(index=1, name="1", modalities=("x",), classes=(2, 3), widths={"x": 3}))
    assert float(method.loss(new)["logits"].detach()) == pytest.approx(0.0, abs=1e-12)  # old rows of the head stayed
    with torch.no_grad():
        method.model.head.weight.mul_(1.5)
    now = method.model(old).logits
    also = method.model(new).logits
    logits = method.memory.all().columns["logits"]
    assert logits.isnan().sum(1).tolist() == [2, 2, 0, 0]
    errors = torch.cat([((now[:, :2] - kept) ** 2).flatten(), ((also - logits[2:]) ** 2).flatten()])
    assert torch.allclose(method.loss(new)["logits"], 0.2 * errors.mean())


def test_nothing_kept_means_nothing_to_drift_from():
    now = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    loss = drift(now, torch.tensor([[0.0, float("nan")], [1.0, 2.0]]))
    loss.backward()
    assert loss.item() == pytest.approx((1 + 4 + 4) / 3)
    assert torch.allclose(now.grad, torch.tensor([[2.0, 0.0], [4.0, 4.0]]) / 3)


def test_one_forward_serves_the_batch_and_both_draws(tiny_model, tiny_batch):
    method, calls = DERpp(tiny_model()), []
    method.model.register_forward_hook(lambda model, args, output: calls.append(len(args[0])))
    method.loss(tiny_batch(0, 1, 0))
    method.loss(tiny_batch(0, 1))
    assert calls == [3, 2 + 2 + 2]


def test_a_weight_of_zero_draws_nothing_for_its_term(tiny_model, tiny_batch):
    for settings, wanted in (
        (DERpp.Settings(alpha=0.0), {"task", "replay"}),
        (DERpp.Settings(beta=0.0), {"task", "logits"}),
        (DERpp.Settings(alpha=0.0, beta=0.0), {"task"}),
    ):
        method = DERpp(tiny_model(), settings)
        method.loss(tiny_batch(0, 1))
        assert method.loss(tiny_batch(0, 1)).keys() == wanted


def test_every_visit_is_offered_with_the_logits_of_that_visit(tiny_model, tiny_batch):
    method, batch = DERpp(tiny_model()), tiny_batch(0, 1)
    for epoch in (0, 1):
        method.clock.epoch = epoch
        method.loss(batch)
        with torch.no_grad():
            method.model.head.bias.add_(1.0)
    logits = method.memory.all().columns["logits"]
    assert method.memory.seen == 4
    assert torch.allclose(logits[2:], logits[:2] + 1.0)


def test_a_memory_that_waits_for_the_end_of_a_stage_is_refused(tiny_model):
    with pytest.raises(SettingsError, match="der\\+\\+ keeps logits at each visit; 'herding' waits"):
        DERpp(tiny_model(), DERpp.Settings(policy="herding"))


def test_it_keeps_the_first_stage_where_fine_tuning_loses_it(digits, learned, fine_tuned):
    _, kept = learned("der++", digits, memory=100)
    assert kept[0] > 0.6 + fine_tuned[0]
    assert kept[-1] > 0.9
