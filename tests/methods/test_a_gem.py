import torch

from polymnia.methods.a_gem import AGEM


def gradient(method):
    return torch.cat([p.grad.flatten() for p in method.model.parameters()])


def of_batch(method, batch):
    loss = method.task_loss(method.model(batch))
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(method.model.parameters()))])


def prepared(tiny_model, old, new):
    """Return the method after the backward of one batch, with the memory's and the batch's gradient."""
    method = AGEM(tiny_model(), AGEM.Settings(draw=len(old)))
    method.memory.add(old)
    method.loss(new)["task"].backward()
    return method, of_batch(method, old), of_batch(method, new)


def test_a_gradient_that_opposes_the_memory_s_is_made_orthogonal_to_it(tiny_model, tiny_batch):
    values = tiny_batch(0, 0)
    opposite = tiny_batch(1, 1)  # the same values, the other label
    assert torch.equal(values.values["x"], opposite.values["x"])
    method, r, g = prepared(tiny_model, values, opposite)
    assert g @ r < 0
    method.after_backward()
    assert torch.allclose(gradient(method), g - (g @ r) / (r @ r) * r, atol=1e-6)
    assert abs(float(gradient(method) @ r)) < 1e-6


def test_a_gradient_that_agrees_stays_bit_identical(tiny_model, tiny_batch):
    method, r, g = prepared(tiny_model, tiny_batch(0, 1, seed=1), tiny_batch(0, 1, seed=1))
    assert g @ r > 0
    before = gradient(method).clone()
    method.after_backward()
    assert torch.equal(gradient(method), before)


def test_a_parameter_that_the_batch_does_not_reach_moves_only_against_the_memory(tiny_model, tiny_batch):
    method, r, _ = prepared(tiny_model, tiny_batch(0, 0), tiny_batch(1, 1))
    bias = method.model.head.bias
    start = sum(p.numel() for p in method.model.parameters()) - bias.numel()
    names = [name for name, _ in method.model.named_parameters()]
    assert names[-1] == "head.bias"
    bias.grad = None
    g = torch.cat([p.grad.flatten() for p in method.model.parameters() if p.grad is not None])
    share = (g @ r[:start]) / (r @ r)
    method.after_backward()
    assert torch.allclose(bias.grad, -share * r[start:], atol=1e-6)


def test_the_memory_s_gradient_is_averaged_over_processes_before_it_is_used(tiny_model, tiny_batch):
    method, r, g = prepared(tiny_model, tiny_batch(0, 0), tiny_batch(1, 1))
    other = torch.ones_like(r)  # what another process might have found

    def average(tensors):
        at = 0
        for tensor in tensors:
            tensor.add_(other[at : at + tensor.numel()].view_as(tensor)).div_(2)
            at += tensor.numel()

    method.average = average
    method.after_backward()
    r = (r + other) / 2
    wanted = g - (g @ r) / (r @ r) * r if g @ r < 0 else g
    assert torch.allclose(gradient(method), wanted, atol=1e-6)


def test_the_memory_holds_earlier_stages_only(tiny_model, tiny_batch, tiny_stage):
    method, batch = AGEM(tiny_model()), tiny_batch(0, 1, 0)
    method.loss(batch)["task"].backward()
    assert not len(method.memory)
    before = gradient(method).clone()
    method.after_backward()
    assert torch.equal(gradient(method), before)
    method.after_stage(tiny_stage(batch))
    assert len(method.memory) == 3


def test_it_learns_each_stage_and_forgets_no_more_than_fine_tuning(digits, learned, fine_tuned):
    _, kept = learned("a-gem", digits, memory=100)
    assert kept[-1] > 0.9
    assert sum(kept) >= sum(fine_tuned)
