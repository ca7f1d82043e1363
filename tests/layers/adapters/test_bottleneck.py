import pytest
import torch

from polymnia.data.batch import Batch


@pytest.fixture
def widths():
    return dict.fromkeys(("audio", "image", "text"), 8)


def test_shared_is_one_adapter_for_all_modalities(adapter, batch, stage):
    one, each = adapter("bottleneck", shared=True), adapter("bottleneck")
    assert 3 * sum(p.numel() for p in one.parameters()) == sum(p.numel() for p in each.parameters())
    text = batch().values["text"]
    for made, same in ((one, True), (each, False)):
        found = [made(Batch({m: text}, torch.arange(5)))[m] for m in ("audio", "image")]
        assert torch.equal(*found) is same
    parameters = list(one.parameters())
    one.grow(stage(1), ("audio", "text"))
    assert all(p is q for p, q in zip(parameters, one.parameters(), strict=True))


def test_shared_serves_only_modalities_that_have_come(adapter, batch):
    assert adapter("bottleneck", shared=True, modalities=("audio",))(batch()).keys() == {"audio"}
