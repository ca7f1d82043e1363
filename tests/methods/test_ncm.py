import pytest
import torch
from torch.nn.functional import normalize

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.methods.ncm import FARTHEST, NCM
from polymnia.models.classifier import Classifier


def made(modalities, classes):
    outline = Outline(index=0, name="0", modalities=modalities, classes=tuple(range(classes)),
                      widths=dict.fromkeys(modalities, 2))  # fmt: skip
    model = Classifier(Classifier.Settings(width=4))
    model.grow(outline)
    method = NCM(model)
    method.before_stage(outline)
    return method


def test_distance_to_the_mean_by_hand():
    method = made(("x",), 2)
    values = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]], [[-3.0, 0.0]]])
    assert method.loss(Batch({"x": values}, torch.tensor([0, 0, 1]))) == {}
    logits = method.predict(Batch({"x": torch.tensor([[[5.0, 0.0]]])}, torch.tensor([0]))).logits
    assert logits[0].tolist() == pytest.approx([-((0.5**2) + 0.5**2), -4.0])  # means (½, ½) and (−1, 0)


def test_the_mean_over_shared_modalities():
    torch.manual_seed(0)
    method = made(("x", "y"), 3)
    has = torch.tensor([True, True, False, True, False, True])
    x, y = torch.randn(6, 1, 2) * has[:, None, None], torch.randn(6, 1, 2)
    targets = torch.tensor([0, 0, 1, 2, 1, 2])  # class 1 was never seen in x
    method.loss(Batch({"x": x, "y": y}, targets, {}, {"x": has}))
    ux, uy = normalize(x[:, 0], dim=1), normalize(y[:, 0], dim=1)
    asked = Batch({"x": torch.randn(2, 1, 2), "y": torch.randn(2, 1, 2)}, torch.zeros(2).long(), {},
                  {"y": torch.tensor([True, False])})  # fmt: skip
    ax, ay = normalize(asked.values["x"][:, 0], dim=1), normalize(asked.values["y"][:, 0], dim=1)
    wanted = torch.zeros(2, 3)
    for k in range(3):
        in_y = (ay - uy[targets == k].mean(0)).square().sum(1)
        rows = (targets == k) & has
        in_x = (ax - ux[rows].mean(0)).square().sum(1) if k != 1 else None
        wanted[0, k] = -(in_y[0] if in_x is None else (in_x[0] + in_y[0]) / 2)
        wanted[1, k] = -(FARTHEST if in_x is None else in_x[1])
    torch.testing.assert_close(method.predict(asked).logits, wanted, rtol=1e-5, atol=1e-5)


def test_learns_every_stage(digits, learned):
    _, scores = learned("ncm", digits)
    assert min(scores) > 0.8
