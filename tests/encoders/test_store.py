import hashlib
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polymnia.encoders import store as module
from polymnia.encoders.store import Store
from polymnia.errors import StateError


def value(number: int) -> torch.Tensor:
    return torch.sin(torch.arange(3 * (number % 4 + 1)).reshape(-1, 3) + number)


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def fill(store: Store, numbers) -> None:
    store.fill((digest(n), value(n)) for n in numbers)


def holds(store: Store, numbers) -> bool:
    column = store.column([digest(n) for n in numbers])
    found = [column.flat[s : s + k] for s, k in zip(column.start, column.length, strict=True)]
    return all(torch.equal(f, value(n).half()) for f, n in zip(found, numbers, strict=True))


def test_what_is_filled_is_held_by_this_store_and_by_the_next(tmp_path):
    store = Store(tmp_path / "s")
    assert len(store.lacking([digest(0), digest(1)])) == 2 and len(store.column([])) == 0
    fill(store, range(5))
    again = Store(tmp_path / "s")
    for held in (store, again):
        assert held.lacking([digest(7), digest(3)]) == [digest(7)]
        assert holds(held, [4, 0, 0, 2])
    assert again.flat.dtype == torch.float16


def test_many_small_fills_make_two_files(tmp_path):
    store = Store(tmp_path / "s")
    for number in range(40):
        fill(store, [number])
    assert len(list((tmp_path / "s").iterdir())) == 2
    assert holds(Store(tmp_path / "s"), list(range(40)))


def test_a_column_is_memory_mapped_and_stays_when_the_store_grows(tmp_path):
    store = Store(tmp_path / "s")
    fill(store, [0, 1])
    before = store.column([digest(1)])
    fill(store, [2])
    assert torch.equal(before.flat[before.start[0] :][: before.length[0]], value(1).half())
    if sys.platform == "linux":
        assert str(tmp_path / "s" / "tokens-") in Path("/proc/self/maps").read_text()


def test_a_reader_sees_all_of_a_value_or_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "COMMIT_BYTES", 60)  # several commits within one fill
    seen = []

    def watched():
        for number in range(12):
            reader = Store(tmp_path / "s")
            held = [n for n in range(12) if not reader.lacking([digest(n)])]
            assert holds(reader, held)
            seen.append(len(held))
            yield digest(number), value(number)

    Store(tmp_path / "s").fill(watched())
    assert sorted(seen) == seen and len(set(seen)) > 2


def test_what_was_added_stays_when_filling_breaks_off(tmp_path):
    def breaking():
        yield digest(0), value(0)
        yield digest(1), value(1)
        raise KeyboardInterrupt

    store = Store(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        store.fill(breaking())
    assert not store.lacking([digest(0), digest(1)])
    assert holds(Store(tmp_path / "s"), [0, 1])


def test_the_tail_of_a_killed_writer_is_overwritten(tmp_path):
    store = Store(tmp_path / "s")
    fill(store, [0])
    (path,) = (tmp_path / "s").glob("tokens-*")
    with path.open("ab") as file:
        file.write(b"half a val")
    (tmp_path / "s" / ".index.123.tmp").write_bytes(b"half an index")
    later = Store(tmp_path / "s")
    assert holds(later, [0])
    fill(later, [1, 2])
    assert holds(Store(tmp_path / "s"), [0, 1, 2])
    assert not list((tmp_path / "s").glob(".index*"))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_one_damaged_byte_anywhere_is_noticed_and_mended(tmp_path, data):
    folder = tmp_path / "s"
    shutil.rmtree(folder, ignore_errors=True)
    store = Store(folder)
    for numbers in ([0, 1, 2], [3], [4, 5]):
        fill(store, numbers)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"is damaged.*encoded again"):
        hurt = Store(folder)
        lacking = hurt.lacking([digest(n) for n in range(6)])
    assert lacking
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is told once
        hurt.refresh()
        assert hurt.lacking([digest(n) for n in range(6)]) == lacking
        fill(hurt, [n for n in range(6) if digest(n) in lacking])
        assert holds(hurt, list(range(6)))
        mended = Store(folder)
        assert not mended.lacking([digest(n) for n in range(6)]) and holds(mended, list(range(6)))


def test_a_lost_tokens_file_counts_as_lacking(tmp_path):
    fill(Store(tmp_path / "s"), range(3))
    next((tmp_path / "s").glob("tokens-*")).unlink()
    with pytest.warns(UserWarning, match="is damaged"):
        store = Store(tmp_path / "s")
        assert len(store.lacking([digest(n) for n in range(3)])) == 3
    fill(store, range(3))
    assert holds(Store(tmp_path / "s"), [0, 1, 2])


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "s").write_text("a file, not a folder")
    store = Store(tmp_path / "elsewhere")
    store.folder = tmp_path / "s" / "below"
    with pytest.raises(StateError, match=r"cannot write the cache in .*POLYMNIA_HOME"):
        fill(store, [0])


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    fill(Store(tmp_path / "s"), [0, 1])
    store, before = Store(tmp_path / "s"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))  # the system refuses to let a file grow further
    try:
        with pytest.raises(StateError, match=r"cannot write the cache.*cache clear"):
            fill(store, range(2, 60))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    again = Store(tmp_path / "s")
    assert not again.lacking([digest(0), digest(1)]) and holds(again, [0, 1])
    fill(store, again.lacking([digest(n) for n in range(60)]) and range(2, 60))
    assert holds(Store(tmp_path / "s"), list(range(60)))
