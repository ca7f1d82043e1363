import torch

from polymnia.data.batch import Batch
from polymnia.memory.store import Store
from polymnia.state import join, split


def rows(*numbers):
    return torch.tensor(numbers, dtype=torch.int64)


def flat(batch: Batch) -> dict[str, torch.Tensor | None]:
    parts = {"values": batch.values, "valid": batch.valid, "present": batch.present, "columns": batch.columns}
    return {f"{part} {name}": tensor for part, held in parts.items() for name, tensor in held.items()}


def same(a: Batch, b: Batch) -> bool:
    x, y = flat(a) | {"targets": a.targets}, flat(b) | {"targets": b.targets}
    assert x.keys() == y.keys() and [v is None for v in x.values()] == [v is None for v in y.values()]
    return all(torch.equal(x[name], y[name]) for name in x if x[name] is not None)


def test_rows_come_back_as_they_were_written_without_masks_when_nothing_is_missing():
    store = Store(4)
    batch = Batch({"x": torch.randn(3, 2, 5)}, rows(1, 2, 3), {"x": None}, {"x": None}, {"logits": torch.randn(3, 2)})
    store.write(batch, rows(2, 0, 1))
    assert same(store.take(rows(2, 0, 1)), batch)


def test_longer_values_that_come_later_leave_the_old_ones_as_they_were():
    store = Store(2)
    short, long = torch.randn(1, 2, 3), torch.randn(1, 4, 3)
    store.write(Batch({"x": short}, rows(0), {"x": None}), rows(0))
    store.write(Batch({"x": long}, rows(1), {"x": None}), rows(1))
    held = store.take(rows(0, 1))
    assert torch.equal(held.values["x"][0, :2], short[0]) and not held.values["x"][0, 2:].any()
    assert torch.equal(held.values["x"][1], long[0])
    assert held.mask("x").tolist() == [[True, True, False, False], [True] * 4]
    store.write(Batch({"x": short}, rows(2), {"x": None}), rows(1))  # and a shorter one over a longer one
    held = store.take(rows(1))
    assert torch.equal(held.values["x"][0, :2], short[0]) and not held.values["x"][0, 2:].any()
    assert held.mask("x").tolist() == [[True, True, False, False]]


def test_a_modality_that_comes_later_is_missing_before_and_one_that_stays_away_is_missing_after():
    store = Store(2)
    store.write(Batch({"x": torch.ones(1, 1, 3)}, rows(0), {"x": None}, {"x": None}), rows(0))
    store.write(Batch({"y": torch.ones(1, 2, 4)}, rows(1), {"y": None}, {"y": None}), rows(1))
    held = store.take(rows(0, 1))
    assert held.has("x").tolist() == [True, False] and held.has("y").tolist() == [False, True]
    assert held.mask("y").tolist() == [[False, False], [True, True]]
    assert not held.values["y"][0].any() and not held.values["x"][1].any()


def test_presence_and_validity_masks_that_come_later_count_older_rows_as_whole():
    store = Store(3)
    store.write(Batch({"x": torch.ones(1, 2, 3)}, rows(0), {"x": None}, {"x": None}), rows(0))
    gaps = torch.tensor([[True, False], [False, False]])
    store.write(Batch({"x": torch.ones(2, 2, 3)}, rows(1, 1), {"x": gaps}, {"x": rows(1, 0).bool()}), rows(1, 2))
    held = store.take(rows(0, 1, 2))
    assert held.has("x").tolist() == [True, True, False]
    assert held.mask("x").tolist() == [[True, True], [True, False], [False, False]]


def test_columns_widen_and_what_was_not_known_is_marked():
    store = Store(3)
    x = torch.ones(1, 1, 1)
    store.write(Batch({"x": x}, rows(0), columns={"logits": torch.tensor([[1.0, 2.0]])}), rows(0))
    store.write(
        Batch({"x": x}, rows(0), columns={"logits": torch.tensor([[1.0, 2.0, 3.0]]), "stage": rows(4)}), rows(1)
    )
    store.write(Batch({"x": x}, rows(0)), rows(2))
    held = store.take(rows(0, 1, 2)).columns
    assert held["logits"].isnan().tolist() == [[False, False, True], [False] * 3, [True] * 3]
    assert held["logits"][:2].nansum().item() == 9.0
    assert held["stage"].tolist() == [-1, 4, -1]


def test_only_the_filled_part_is_saved_and_it_comes_back_through_safetensors_and_json():
    store, twin = Store(10), Store(10)
    gaps = torch.tensor([[True, False], [True, True]])
    batch = Batch({"x": torch.randn(2, 2, 3)}, rows(1, 2), {"x": gaps}, {"x": None}, {"logits": torch.randn(2, 2)})
    store.write(batch, rows(0, 1))
    tensors, rest = split(store.state_dict(2))
    assert all(len(tensor) == 2 for tensor in tensors.values())
    twin.load_state_dict(join(tensors, rest))
    assert same(twin.take(rows(1, 0)), store.take(rows(1, 0)))


def test_an_empty_store_gives_and_saves_nothing():
    assert len(Store(3).take(rows())) == 0
    assert Store(3).state_dict(0) is None
