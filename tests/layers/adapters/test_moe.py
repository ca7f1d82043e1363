import torch


def test_modalities_are_routed_trained_counted_and_frozen_apart(adapter, batch):
    made, whole = adapter("moe", experts=4), batch(20)
    other = batch(20, seed=1)
    other.values["audio"] = whole.values["audio"]
    found, wanted = made(other), made(whole)
    torch.testing.assert_close(found["audio"], wanted["audio"])
    assert not torch.allclose(found["text"], wanted["text"])
    usage = made.usage(whole)
    assert usage.shape == (12,)
    torch.testing.assert_close(usage.view(3, 4).sum(1), torch.full((3,), 20.0))
    made.freeze(torch.tensor([4.0, 3, 2, 1, 1, 2, 3, 4, 0, 0, 1, 0]), 2)
    assert [part.frozen.tolist() for part in made.parts.values()] == [
        [True, True, False, False], [False, False, True, True], [False, False, True, False],
    ]  # fmt: skip


def test_a_modality_that_comes_later_has_its_own_experts(adapter, batch, stage):
    made = adapter("moe", modalities=("audio",), experts=3)
    made.grow(stage(1), ("text",))
    made.grow(stage(2), ("text",))
    assert {m: len(part.experts) for m, part in made.parts.items()} == {"audio": 5, "text": 3}
    assert made(batch()).keys() == {"audio", "text"}
