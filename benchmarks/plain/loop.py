"""The loop that all share, and the methods that keep no samples."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

EPOCHS, BATCH, RATE = 2, 32, 0.05


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))


class Finetune:
    """The loop that the others share; they change its steps."""

    def __init__(self) -> None:
        self.trained = 0
        self.classes = 0
        self.restart()

    def restart(self) -> None:
        self.net = network()
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=RATE)

    def learn(self, x: Tensor, y: Tensor) -> None:
        loader = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
        for self.epoch in range(EPOCHS):
            for bx, by in loader:
                self.optimiser.zero_grad()
                self.loss(bx, by).backward()
                self.before_step(bx, by)
                self.optimiser.step()
                self.after_step(bx, by)
                self.trained += len(by)
        self.after_stage(x, y)
        self.classes = int(y.max()) + 1

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self.net(x), y)

    def before_step(self, x: Tensor, y: Tensor) -> None: ...

    def after_step(self, x: Tensor, y: Tensor) -> None: ...

    def after_stage(self, x: Tensor, y: Tensor) -> None: ...

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        return self.net(x).argmax(1)


class Joint(Finetune):
    def learn(self, x: Tensor, y: Tensor) -> None:
        self.restart()
        self.all_x = torch.cat([self.all_x, x]) if self.classes else x
        self.all_y = torch.cat([self.all_y, y]) if self.classes else y
        super().learn(self.all_x, self.all_y)


class EWC(Finetune):
    strength = 1.0

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        loss = super().loss(x, y)
        if self.classes:
            held = zip(self.net.parameters(), self.importance, self.anchor, strict=True)
            loss = loss + self.strength / 2 * sum((f * (p - a) ** 2).sum() for p, f, a in held)
        return loss

    def after_stage(self, x: Tensor, y: Tensor) -> None:
        fisher = fisher_diagonal(self.net, x, y)
        self.importance = [a + b for a, b in zip(self.importance, fisher, strict=True)] if self.classes else fisher
        self.anchor = [p.detach().clone() for p in self.net.parameters()]


def fisher_diagonal(net: nn.Sequential, x: Tensor, y: Tensor) -> list[Tensor]:
    """Per sample and exact: of a linear layer with input a and gradient d at its output it is (d²)ᵀ(a²)."""
    total = [torch.zeros_like(p) for p in net.parameters()]
    for bx, by in DataLoader(TensorDataset(x, y), batch_size=512):
        inputs, outputs, at = [], [], bx
        for layer in net:
            inputs.append(at)
            outputs.append(at := layer(at))
        deltas = torch.autograd.grad(F.cross_entropy(at, by, reduction="sum"), outputs)
        linear = [i for i, layer in enumerate(net) if isinstance(layer, nn.Linear)]
        for k, i in enumerate(linear):
            total[2 * k] += deltas[i].square().T @ inputs[i].detach().square()
            total[2 * k + 1] += deltas[i].square().sum(0)
    return [t / len(x) for t in total]


def fisher_by_sample(net: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """The same by one backward pass a sample, as most code does it."""
    total = [torch.zeros_like(p) for p in net.parameters()]
    for i in range(len(x)):
        net.zero_grad()
        F.cross_entropy(net(x[i : i + 1]), y[i : i + 1]).backward()
        for t, p in zip(total, net.parameters(), strict=True):
            t += p.grad**2
    return [t / len(x) for t in total]


class SI(Finetune):
    strength, damping = 1.0, 1e-3

    def learn(self, x: Tensor, y: Tensor) -> None:
        self.path = [torch.zeros_like(p) for p in self.net.parameters()]
        self.anchor = [p.detach().clone() for p in self.net.parameters()]
        super().learn(x, y)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        loss = super().loss(x, y)
        if self.classes:
            held = zip(self.net.parameters(), self.importance, self.anchor, strict=True)
            loss = loss + self.strength * sum((w * (p - a) ** 2).sum() for p, w, a in held)
        return loss

    @torch.no_grad()
    def before_step(self, x: Tensor, y: Tensor) -> None:
        """Keep the weights and the task's own gradient."""
        self.old = [p.clone() for p in self.net.parameters()]
        self.gradient = [p.grad.clone() for p in self.net.parameters()]
        if self.classes:
            for g, p, w, a in zip(self.gradient, self.old, self.importance, self.anchor, strict=True):
                g -= 2 * self.strength * w * (p - a)

    @torch.no_grad()
    def after_step(self, x: Tensor, y: Tensor) -> None:
        for total, g, old, p in zip(self.path, self.gradient, self.old, self.net.parameters(), strict=True):
            total -= g * (p - old)

    @torch.no_grad()
    def after_stage(self, x: Tensor, y: Tensor) -> None:
        held = zip(self.path, self.net.parameters(), self.anchor, strict=True)
        new = [w.clamp(min=0) / ((p - a) ** 2 + self.damping) for w, p, a in held]
        self.importance = [a + b for a, b in zip(self.importance, new, strict=True)] if self.classes else new


class LwF(Finetune):
    strength, temperature = 1.0, 2.0

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        if self.classes:
            t = self.temperature
            with torch.no_grad():
                wanted = F.log_softmax(self.teacher(x)[:, : self.classes] / t, 1)
            given = F.log_softmax(logits[:, : self.classes] / t, 1)
            loss = loss + self.strength * t**2 * F.kl_div(given, wanted, reduction="batchmean", log_target=True)
        return loss

    def after_stage(self, x: Tensor, y: Tensor) -> None:
        self.teacher = copy.deepcopy(self.net).eval().requires_grad_(False)
