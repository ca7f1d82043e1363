import numpy as np
import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.methods.slda import SLDA
from polymnia.models.classifier import Classifier

WIDTHS = {"x": 3, "y": 4}


def made(**settings):
    outline = Outline(index=0, name="0", modalities=("x", "y"), classes=(0, 1, 2), widths=WIDTHS)
    model = Classifier(Classifier.Settings(width=4))
    model.grow(outline)
    method = SLDA(model, SLDA.Settings(**settings))
    method.before_stage(outline)
    return method


def batched(n, *, gaps, seed=0):
    random = torch.Generator().manual_seed(seed)
    has = torch.rand(n, 2, generator=random) > (0.4 if gaps else -1.0)
    has[~has.any(1)] = True
    present = dict(zip(WIDTHS, has.T, strict=True))
    values = {m: torch.randn(n, 1, d, generator=random) * present[m][:, None, None] for m, d in WIDTHS.items()}
    return Batch(values, torch.randint(0, 3, (n,), generator=random), {}, present if gaps else {})


def residuals(method, batch):
    """(N, D): each value's difference to its class's mean, 0 where it is missing; and the means, by loops."""
    z, targets = method.features(batch).double(), batch.targets
    means, r = torch.zeros(3, 7, dtype=torch.float64), torch.zeros_like(z)
    for m, (start, end) in method.slots.items():
        for k in range(3):
            rows = (targets == k) & batch.has(m)
            means[k, start:end] = z[rows, start:end].mean(0)
            r[rows, start:end] = z[rows, start:end] - means[k, start:end]
    return r, means


@pytest.mark.parametrize("gaps", [False, True])
def test_covariance_is_that_of_the_residuals(gaps):
    method, batch = made(), batched(60, gaps=gaps)
    for rows in torch.arange(60).split(7):
        method.loss(batch.take(rows))
    r, means = residuals(method, batch)
    n = torch.cat([torch.full((end - start,), float(batch.has(m).sum())) for m, (start, end) in method.slots.items()])
    wanted = (r.T @ r) / (n[:, None] * n).sqrt()
    torch.testing.assert_close(method.covariance(), wanted, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(method.means(), means, rtol=1e-6, atol=1e-8)
    assert float(torch.linalg.eigvalsh(method.covariance()).min()) > -1e-9


def test_whole_samples_give_the_pooled_covariance_and_the_papers_rule():
    method, batch = made(shrinkage=0.1), batched(60, gaps=False)
    method.loss(batch)
    z, targets = method.features(batch).double().numpy(), batch.targets.numpy()
    means = np.stack([z[targets == k].mean(0) for k in range(3)])
    pooled = sum(np.cov(z[targets == k].T, bias=True) * (targets == k).mean() for k in range(3))
    precision = np.linalg.inv(0.9 * pooled + 0.1 * np.eye(7))
    asked = batched(5, gaps=False, seed=1)
    q = method.features(asked).double().numpy()
    wanted = q @ precision @ means.T - np.einsum("kd,de,ke->k", means, precision, means) / 2
    np.testing.assert_allclose(method.predict(asked).logits.numpy(), wanted, rtol=1e-4, atol=1e-4)


def test_a_sample_with_some_modalities_is_scored_by_their_marginal():
    method, batch = made(shrinkage=0.1), batched(60, gaps=False)
    method.loss(batch)
    asked = batched(5, gaps=False, seed=1)
    whole, alone = method.predict(asked), method.predict(asked.only(["y"]))
    start, end = method.slots["y"]
    means, q = method.means()[:, start:end], method.features(asked)[:, start:end].double()
    precision = torch.linalg.inv(0.9 * method.covariance()[start:end, start:end] + 0.1 * torch.eye(4))
    wanted = q @ precision @ means.T - torch.einsum("kd,de,ke->k", means, precision, means) / 2
    torch.testing.assert_close(alone.logits, wanted.float(), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(whole.logits, alone.logits)
    mixed = Batch(asked.values, asked.targets, {}, {"x": torch.tensor([True, False, True, False, False])})
    logits = method.predict(mixed).logits
    for row, has in enumerate([True, False, True, False, False]):
        torch.testing.assert_close(logits[row], (whole if has else alone).logits[row], rtol=1e-5, atol=1e-5)


def test_learns_every_stage(digits, learned):
    _, scores = learned("slda", digits)
    assert min(scores) > 0.9


@pytest.mark.parametrize("shrinkage", [0.0, -1.0, 1.5])
def test_shrinkage_out_of_range_is_refused(shrinkage):
    with pytest.raises(SettingsError, match="shrinkage"):
        SLDA.Settings(shrinkage=shrinkage)
