"""The methods that keep samples."""

import copy
import random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plain.loop import Finetune

MEMORY, REPLAYED = 500, 32


class Reservoir:
    """Algorithm R, sample by sample."""

    def __init__(self, *shapes: tuple[int, ...], capacity: int = MEMORY) -> None:
        self.x, self.y = torch.empty(capacity, 784), torch.empty(capacity, dtype=torch.int64)
        self.more = [torch.empty(capacity, *shape) for shape in shapes]
        self.capacity, self.seen = capacity, 0

    def __len__(self) -> int:
        return min(self.seen, self.capacity)

    def add(self, x: Tensor, y: Tensor, *more: Tensor) -> None:
        for i in range(len(y)):
            slot = self.seen if self.seen < self.capacity else random.randrange(self.seen + 1)
            if slot < self.capacity:
                self.x[slot], self.y[slot] = x[i], y[i]
                for column, values in zip(self.more, more, strict=True):
                    column[slot] = values[i]
            self.seen += 1

    def draw(self, n: int = REPLAYED) -> tuple[Tensor, ...]:
        rows = torch.randperm(len(self))[:n]
        return self.x[rows], self.y[rows], *(column[rows] for column in self.more)


class Balanced(Reservoir):
    """Equal room for every class: a full memory gives up a sample of its largest class."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: list[list[int]] = [[] for _ in range(10)]
        self.met = [0] * 10

    def add(self, x: Tensor, y: Tensor, *more: Tensor) -> None:
        for i, label in enumerate(y.tolist()):
            self.met[label] += 1
            if self.seen < self.capacity:
                slot = self.seen
                self.slots[label].append(slot)
            else:
                largest = max(self.slots, key=len)
                own = len(self.slots[label]) == len(largest)
                place = random.randrange(self.met[label] if own else len(largest))
                if place >= len(largest):
                    continue
                slot = self.slots[label][place] if own else largest.pop(place)
                if not own:
                    self.slots[label].append(slot)
            self.x[slot], self.y[slot] = x[i], y[i]
            self.seen += 1


class Replay(Finetune):
    def __init__(self) -> None:
        super().__init__()
        self.memory = Reservoir()

    def joined(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if len(self.memory):
            old_x, old_y = self.memory.draw()
            return torch.cat([x, old_x]), torch.cat([y, old_y])
        return x, y

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        both_x, both_y = self.joined(x, y)
        if self.epoch == 0:
            self.memory.add(x, y)
        return F.cross_entropy(self.net(both_x), both_y)


class AGEM(Replay):
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self.net(x), y)

    def before_step(self, x: Tensor, y: Tensor) -> None:
        if self.classes:
            params = list(self.net.parameters())
            old_x, old_y = self.memory.draw()
            reference = torch.autograd.grad(F.cross_entropy(self.net(old_x), old_y), params)
            agreement = sum((p.grad * r).sum() for p, r in zip(params, reference, strict=True))
            if agreement < 0:
                share = agreement / sum((r * r).sum() for r in reference)
                for p, r in zip(params, reference, strict=True):
                    p.grad -= share * r

    def after_stage(self, x: Tensor, y: Tensor) -> None:
        self.memory.add(x, y)


class DERpp(Replay):
    alpha, beta = 0.2, 1.0

    def __init__(self) -> None:
        super().__init__()
        self.memory = Reservoir((10,))

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        if len(self.memory):
            dark_x, _, kept = self.memory.draw()
            old_x, old_y, _ = self.memory.draw()
            parts = self.net(torch.cat([x, dark_x, old_x])).split([len(x), len(dark_x), len(old_x)])
            loss = F.cross_entropy(parts[0], y) + self.alpha * F.mse_loss(parts[1], kept)
            loss = loss + self.beta * F.cross_entropy(parts[2], old_y)
        else:
            parts = [self.net(x)]
            loss = F.cross_entropy(parts[0], y)
        self.memory.add(x, y, parts[0].detach())
        return loss


class ERACE(Replay):
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        both_x, both_y = self.joined(x, y)
        if self.epoch == 0:
            self.memory.add(x, y)
        logits, b = self.net(both_x), len(x)
        absent = torch.ones(10, dtype=torch.bool)
        absent[y.unique()] = False
        loss = F.cross_entropy(logits[:b].masked_fill(absent, -1e9), y)
        return loss + F.cross_entropy(logits[b:], both_y[b:]) if len(both_y) > b else loss


def representation(net: nn.Sequential, x: Tensor) -> Tensor:
    return F.normalize(net[:-1](x), dim=1)


class ICaRL(Finetune):
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        if self.classes:
            rows = torch.randperm(len(self.y))[:REPLAYED]
            x, y = torch.cat([x, self.x[rows]]), torch.cat([y, self.y[rows]])
        wanted = F.one_hot(y, 10).float()
        if self.classes:
            with torch.no_grad():
                wanted[:, : self.classes] = self.teacher(x)[:, : self.classes].sigmoid()
        return F.binary_cross_entropy_with_logits(self.net(x), wanted, reduction="none").sum(1).mean()

    @torch.no_grad()
    def after_stage(self, x: Tensor, y: Tensor) -> None:
        """Fewer exemplars of the old classes, the best of the new ones, and everyone's mean."""
        classes = int(y.max()) + 1
        room = MEMORY // classes
        kept = [(old_x[:room], old_y[:room]) for old_x, old_y in self.kept] if self.classes else []
        features = torch.cat([representation(self.net, part) for part in x.split(256)])
        for label in range(self.classes, classes):
            mine = features[y == label]
            mean, total, chosen = mine.mean(0), torch.zeros(mine.shape[1]), []
            left = torch.zeros(len(mine))
            for k in range(1, room + 1):
                best = int((((total + mine) / k - mean).square().sum(1) + left).argmin())
                chosen.append(best)
                left[best] = float("inf")
                total += mine[best]
            kept.append((x[y == label][chosen], y[y == label][chosen]))
        self.kept = kept
        self.x, self.y = torch.cat([k for k, _ in kept]), torch.cat([k for _, k in kept])
        held = representation(self.net, self.x)
        means = torch.stack([held[self.y == label].mean(0) for label in range(classes)])
        self.means = F.normalize(means, dim=1)
        self.teacher = copy.deepcopy(self.net).eval().requires_grad_(False)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        return (representation(self.net, x) @ self.means.T).argmax(1)


class CoPE(Replay):
    momentum, temperature = 0.99, 0.1

    def __init__(self) -> None:
        super().__init__()
        self.memory = Balanced()
        self.prototypes = torch.zeros(10, 100)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Positives and negatives are prototypes and the batch's own samples; stand-ins get no gradient."""
        new_x, new_y = x, y
        x, y = self.joined(x, y)
        if self.epoch == 0:
            self.memory.add(new_x, new_y)
        f, t = representation(self.net, x), self.temperature
        means = torch.zeros_like(self.prototypes).index_add_(0, y, f.detach())
        means /= y.bincount(minlength=10).clamp(min=1)[:, None]
        fresh = ~self.prototypes.any(1, keepdim=True)
        self.prototypes = torch.where(fresh, F.normalize(means, dim=1), self.prototypes)
        absent = ~self.prototypes.any(1)
        near = (f @ self.prototypes.T / t).masked_fill(absent, -1e4)  # (B, K)
        among = f @ f.detach().T / t  # (B, B)
        same = y[:, None] == y
        rest = near[:, None].masked_fill(F.one_hot(y, 10).bool(), -1e4).logsumexp(2)  # (B, B)
        by_prototype, by_sample = near[:, y] - rest, among - rest
        other = same & ~torch.eye(len(y), dtype=torch.bool)
        pulls = (by_prototype.diagonal().sigmoid() + (by_sample.sigmoid() * other).sum(1)) / same.sum(1)
        kept_off = ((-by_prototype).sigmoid() + (-by_sample).sigmoid()) / 2
        loss = -(pulls.log().sum() + kept_off.log().masked_fill(same, 0).sum()) / len(y)
        moved = F.normalize(self.momentum * self.prototypes + (1 - self.momentum) * means, dim=1)
        self.prototypes = torch.where(means.any(1, keepdim=True), moved, self.prototypes)
        return loss

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        return (representation(self.net, x) @ self.prototypes.T).argmax(1)
