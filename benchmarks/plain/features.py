"""The methods over frozen features: one pass, statistics in float64, nothing trained."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.plain.loop import BATCH, Finetune


class NCM(Finetune):
    def __init__(self) -> None:
        super().__init__()
        self.counts, self.sums = torch.zeros(10).double(), torch.zeros(10, self.width).double()

    width = 784

    def learn(self, x: Tensor, y: Tensor) -> None:
        for bx, by in DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True):
            self.observe(self.features(bx).double(), by)
            self.trained += len(by)
        self.after_stage(x, y)

    def features(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1)

    def observe(self, z: Tensor, y: Tensor) -> None:
        self.counts += y.bincount(minlength=10)
        self.sums.index_add_(0, y, z)

    def rule(self) -> tuple[Tensor, Tensor]:
        means = self.sums / self.counts[:, None]
        return means, -means.square().sum(1) / 2

    def predict(self, x: Tensor) -> Tensor:
        weight, bias = self.rule()
        return (self.features(x).double() @ weight.T + bias).argmax(1)


class SLDA(NCM):
    shrinkage = 1e-4

    def __init__(self) -> None:
        super().__init__()
        self.gram = torch.zeros(self.width, self.width).double()

    def observe(self, z: Tensor, y: Tensor) -> None:
        super().observe(z, y)
        self.gram += z.T @ z

    def rule(self) -> tuple[Tensor, Tensor]:
        means = self.sums / self.counts[:, None]
        covariance = (self.gram - means.T @ self.sums) / self.counts.sum()
        shrunk = (1 - self.shrinkage) * covariance + self.shrinkage * torch.eye(self.width).double()
        weight = torch.linalg.solve(shrunk, means.T).T
        return weight, -(weight * means).sum(1) / 2


class RanPAC(SLDA):
    width = 500

    def __init__(self) -> None:
        super().__init__()
        self.projection = torch.randn(784, self.width)

    def features(self, x: Tensor) -> Tensor:
        return (F.normalize(x, dim=1) @ self.projection).relu()

    def ridge_rule(self, gram: Tensor, sums: Tensor, ridge: float) -> Tensor:
        factor = torch.linalg.cholesky(gram + ridge * torch.eye(self.width).double())
        return torch.cholesky_solve(sums.T, factor).T

    def after_stage(self, x: Tensor, y: Tensor) -> None:
        """Choose the ridge on a fifth of the stage, taken out of the statistics."""
        rows = torch.randperm(len(y))[: min(len(y) // 5, 2000)]
        z, t = self.features(x[rows]).double(), y[rows]
        gram, sums = self.gram - z.T @ z, self.sums.index_add(0, t, -z)
        wanted = F.one_hot(t, 10).double()
        errors = {}
        for power in range(-3, 6):
            errors[10.0**power] = float((z @ self.ridge_rule(gram, sums, 10.0**power).T - wanted).square().sum())
        self.ridge = min(errors, key=errors.__getitem__)

    def rule(self) -> tuple[Tensor, Tensor]:
        return self.ridge_rule(self.gram, self.sums, self.ridge), torch.zeros(10).double()
