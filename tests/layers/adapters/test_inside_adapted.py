"""Adapters whose weights serve all modalities, beside the layers of two frozen encoders of one width."""

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.encoders.random_transformer import RandomTransformer
from polymnia.errors import SettingsError
from polymnia.models.adapted import Adapted

SHARED = ["stage-experts", "universal", {"name": "bottleneck", "shared": True}]


def grown(adapter, *, widths, stages=1):
    model = Adapted(Adapted.Settings(width=6, adapter=adapter), seed=0)
    size = RandomTransformer.Settings
    encoders = {m: RandomTransformer(size(width=w, layers=2, heads=2, seed=w)) for m, w in widths.items()}
    model.attach({m: encoder.cut(0)[1] for m, encoder in encoders.items()})
    for index in range(stages):
        model.grow(outline(index, widths))
    return model


def outline(index, widths):
    return Outline(index=index, name=str(index), modalities=tuple(widths), classes=(2 * index, 2 * index + 1),
                   widths=widths)  # fmt: skip


@pytest.mark.parametrize("adapter", SHARED, ids=str)
def test_it_learns_grows_and_is_rebuilt(adapter):
    widths = {"a": 8, "b": 8}
    model, random = grown(adapter, widths=widths), torch.Generator().manual_seed(0)
    batch = Batch({m: torch.randn(12, 3, 8, generator=random) for m in widths}, torch.arange(12) % 2)
    optimiser = torch.optim.Adam(list(model.trainable().values()), lr=0.02)
    lost = []
    for _ in range(15):
        loss = model.task_loss(model(batch))
        optimiser.zero_grad(), loss.backward(), optimiser.step()
        lost.append(loss.item())
    assert lost[-1] < lost[0]
    before = model.predict(batch).logits
    assert any(added.any() for added in model.adapters[0](batch).values())
    model.grow(outline(1, widths))
    torch.testing.assert_close(model.predict(batch).logits[:, :2], before)
    again = model.rebuilt(model.state_tree())
    assert torch.equal(again.predict(batch).logits, model.predict(batch).logits)
    assert again.trainable().keys() == model.trainable().keys()


@pytest.mark.parametrize("adapter", SHARED, ids=str)
def test_encoders_of_other_widths_are_refused_by_name(adapter):
    with pytest.raises(SettingsError, match="must have one width, and have: a 8, b 12"):
        grown(adapter, widths={"a": 8, "b": 12})
