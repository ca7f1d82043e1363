import json
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.errors import StateError
from polymnia.state import join, split
from polymnia.training.checkpoint import Checkpoints, alone, digest, load_state, save_state, write_atomic

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": {"c": [1, 2.5, None, "x", torch.ones(2, dtype=torch.bool)]}, "n": 3}

scalars = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=5)
tensors = st.integers(0, 4).map(lambda n: torch.arange(float(n)))
keys = st.text(alphabet="abc./_", max_size=4)
trees = st.recursive(scalars | tensors, lambda t: st.lists(t, max_size=3) | st.dictionaries(keys, t, max_size=3))


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b) and a.dtype == b.dtype
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b and type(a) is type(b)


@given(trees)
def test_split_and_join_are_inverse(tree):
    held, rest = split(tree)
    assert same(tree, join(held, json.loads(json.dumps(rest))))


def test_split_names_what_cannot_be_saved():
    with pytest.raises(TypeError, match="b/0 is a object"):
        split({"b": [object()]})


def test_a_state_comes_back_as_it_was(tmp_path):
    save_state(tmp_path / "s", STATE)
    assert same(STATE, load_state(tmp_path / "s"))
    assert digest(STATE) == digest(load_state(tmp_path / "s"))


def test_digest_tells_values_types_and_shapes_apart():
    base = {"w": torch.zeros(4)}
    for other in (torch.zeros(2, 2), torch.zeros(4, dtype=torch.int32), torch.tensor([0.0, 0, 0, 1])):
        assert digest(base) != digest({"w": other})


def test_every_flipped_byte_is_found_and_named(tmp_path):
    save_state(tmp_path / "s", STATE)
    for name in ("tensors.safetensors", "state.json"):
        path = tmp_path / "s" / name
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(StateError, match=name):
                load_state(tmp_path / "s")
        path.write_bytes(whole)
    assert same(STATE, load_state(tmp_path / "s"))


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_missing_or_cut_file_is_named(tmp_path, name):
    save_state(tmp_path / "s", STATE)
    path = tmp_path / "s" / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StateError, match=name):
        load_state(tmp_path / "s")
    path.unlink()
    with pytest.raises(StateError, match=name):
        load_state(tmp_path / "s")


def test_only_the_newest_state_is_kept_and_leftovers_go(tmp_path):
    checkpoints = Checkpoints(tmp_path / "state")
    assert checkpoints.newest() is None
    for number in range(3):
        (tmp_path / "state" / f".0000{number}.99.tmp").mkdir(parents=True, exist_ok=True)
        checkpoints.save({"n": number})
    assert checkpoints.newest() == 3 and checkpoints.load(3) == {"n": 2}
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["000003"]


DISK_FULL = """
import resource, signal, sys, torch
from pathlib import Path
from polymnia.training.checkpoint import Checkpoints
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoints = Checkpoints(Path(sys.argv[1]))
checkpoints.save({"w": torch.zeros(8)})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    checkpoints.save({"w": torch.zeros(100_000)})
except OSError as error:
    print("refused", error.errno)
"""


def test_a_write_that_fails_half_way_leaves_the_older_state(tmp_path):
    done = subprocess.run([sys.executable, "-c", DISK_FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused")
    assert torch.equal(Checkpoints(tmp_path).load(1)["w"], torch.zeros(8))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001"]


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "f"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_folder_in_use_is_refused(tmp_path):
    with alone(tmp_path):
        code = (
            "import sys; from pathlib import Path; from polymnia.training.checkpoint import alone; "
            "from polymnia.errors import StateError\n"
            "try:\n  with alone(Path(sys.argv[1])): print('got it')\nexcept StateError as e: print(e)"
        )
        env = {**os.environ}
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=env)
    assert "in use by another process" in done.stdout
