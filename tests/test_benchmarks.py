"""What stands in the pages is what the benchmarks' results would make, and damage is the same from the same seed."""

import re

import numpy as np
import pytest
from benchmarks import tables
from benchmarks.attempts import READ, attempt
from benchmarks.damage import WAYS, damaged
from benchmarks.hostile import cases
from benchmarks.originals import beside, originals


def test_the_pages_are_what_the_results_would_make():
    assert tables.stale() == []


@pytest.mark.parametrize("name", ["service", "hostile"])
def test_what_was_kept_met_its_goal_and_is_whole(name):
    found = tables.load(name)
    assert found["met"] and not found["failures"] and found["versions"]
    assert sum(row["failed"] for row in found["rows"]) == 0
    line = "requests failed" if name == "service" else "| all |"
    assert line in getattr(tables, name)(found)


def test_the_counts_of_the_files_add_up():
    found = tables.load("hostile")
    counts = [[row[key] for key in tables.COUNTS] for row in found["rows"]]
    assert all(files == sum(rest) for files, *rest in counts) and sum(row[0] for row in counts) == 10_000
    assert set(found["ways"]) == set(WAYS)
    assert re.search(r"\| all \| 10,000 \|", tables.in_use())


def test_damage_is_the_same_from_the_same_seed_and_does_something(tmp_path):
    for package in ("sklearn", "trimesh"):
        pytest.importorskip(package, reason=f"{package} is not installed: make install")
    _, made = originals()
    first, again, other = ([case.data for case in cases(made, share=0.01, seed=seed)] for seed in (5, 5, 6))
    assert first == again != other and len(first) >= 90
    assert not {original.data for original in made} & set(first), "each is damaged"
    beside(tmp_path, made)
    for original in made:
        if original.name != "SVG":  # a process of its own, which the tests of pictures start often enough
            assert attempt(original.reader, original.suffix, original.data, str(tmp_path))[0] == READ, original.name


def test_every_way_damages(tmp_path):
    random, data = np.random.default_rng(0), bytes(range(256)) * 4
    for name, way in WAYS.items():
        assert any(way(data, data[::-1], random) != data for _ in range(5)), name
    assert {damaged(data, [data], random, words=False)[0] for _ in range(200)} >= set(WAYS) - {"worded"}
