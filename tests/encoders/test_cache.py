import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from polymnia.data.modality import digest
from polymnia.encoders.cache import TOTAL, Cache, cache_root, clear, size_report
from polymnia.errors import SettingsError, StateError

TEXTS = [f"word {number}" for number in range(12)]


def encoded(cache, encoder, texts):
    """Return the tokens of texts through a cache, and what had to be computed."""
    by_digest, asked = {digest(text): text for text in texts}, []

    def compute(lacking):
        asked.extend(lacking)
        cache.count(encoder, len(lacking))
        for name in lacking:
            yield name, encoder.encode([by_digest[name]])[0]

    tokens, held = cache.tokens(encoder, list(by_digest), compute)
    parts = [tokens.flat[s : s + k] for s, k in zip(tokens.start, tokens.length, strict=True)]
    return {by_digest[name]: part for name, part in zip(held, parts, strict=True)}, [by_digest[name] for name in asked]


def test_a_value_is_computed_once_and_found_from_then_on(encoder, expected):
    first, computed = encoded(Cache(), encoder, TEXTS)
    again, nothing = encoded(Cache(), encoder, TEXTS)
    assert computed == TEXTS and nothing == []
    for text in TEXTS:
        assert torch.equal(first[text], expected(text)) and torch.equal(again[text], expected(text))
    assert TOTAL.computed["letters"] == 12 and TOTAL.found["letters"] == 12


def test_only_what_is_lacking_is_computed(encoder):
    encoded(Cache(), encoder, TEXTS[:5])
    assert encoded(Cache(), encoder, TEXTS)[1] == TEXTS[5:]


def test_another_fingerprint_is_another_store(encoder):
    encoded(Cache(), encoder, TEXTS)
    encoder.fingerprint = "0" * 32
    assert encoded(Cache(), encoder, TEXTS)[1] == TEXTS
    assert [row["values"] for row in size_report()] == [12, 12]


def test_the_home_can_be_set(monkeypatch, tmp_path):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "there"))
    assert cache_root() == tmp_path / "there"
    monkeypatch.delenv("POLYMNIA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "polymnia"


def test_the_report_says_what_is_held_and_clearing_frees_it(encoder, home):
    assert size_report() == [] and clear() == 0
    encoded(Cache(), encoder, TEXTS)
    (row,) = size_report()
    assert row["encoder"] == "letters" and row["values"] == 12 and row["settings"] == {"scale": 1.0}
    assert json.dumps(row)
    size = sum(path.stat().st_size for path in (home / "features").rglob("*") if path.is_file())
    with pytest.raises(SettingsError, match=r"no such encoder in the cache: 'leters'\. Did you mean 'letters'"):
        clear("leters")
    assert clear("letters") == size and size_report() == []
    assert encoded(Cache(), encoder, TEXTS)[1] == TEXTS


def test_clearing_does_not_disturb_who_holds_tokens(encoder, expected):
    cache = Cache()
    held, _ = encoded(cache, encoder, TEXTS)
    clear()
    assert all(torch.equal(held[text], expected(text)) for text in TEXTS)
    more, _ = encoded(cache, encoder, [*TEXTS, "new"])
    assert torch.equal(more["new"], expected("new")) and torch.equal(more[TEXTS[3]], expected(TEXTS[3]))


def test_a_home_that_cannot_be_written_is_a_clear_error(encoder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="POLYMNIA_HOME"):
        encoded(Cache(tmp_path / "file"), encoder, TEXTS)


PROGRAM = textwrap.dedent(
    """
    import os, sys, time, torch
    from polymnia.data.modality import digest
    from polymnia.data.stage import Card
    from polymnia.encoders import store
    from polymnia.encoders.base import Encoder
    from polymnia.encoders.cache import Cache

    log, pause = sys.argv[1], float(sys.argv[2])
    store.COMMIT_SECONDS = 0.0

    class Slow(Encoder):
        name, kind, width, fingerprint = "slow", "text", 2, "f" * 32
        def encode(self, values):
            time.sleep(pause)
            with open(log, "a") as file:
                file.write("".join(f"{value} {os.getpid()}\\n" for value in values))
            return [torch.full((1, 2), float(len(value))) for value in values]

    texts = {digest("x" * n): "x" * n for n in range(1, 41)}
    encoder = Slow()
    tokens, held = Cache().tokens(
        encoder, list(texts), lambda lacking: ((name, encoder.encode([texts[name]])[0]) for name in lacking)
    )
    assert [int(v) for v in tokens.flat[tokens.start][:, 0]] == list(range(1, 41))
    assert held == list(texts)
    print("done")
    """
)


def start(log, pause: float) -> subprocess.Popen[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(log), str(pause)], env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_two_processes_at_once_encode_nothing_twice(tmp_path):
    log = tmp_path / "log"
    both = [start(log, 0.01), start(log, 0.01)]
    for process in both:
        said, complained = process.communicate(timeout=120)
        assert said == "done\n", complained
    assert len(log.read_text().splitlines()) == 40


def test_a_killed_process_neither_blocks_nor_costs_what_it_had_done(tmp_path):
    log = tmp_path / "log"
    killed = start(log, 0.05)
    deadline = time.monotonic() + 60
    while (not log.exists() or len(log.read_text().splitlines()) < 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    lost = len(log.read_text().splitlines())
    assert 5 <= lost < 40
    said, complained = start(log, 0.0).communicate(timeout=120)
    assert said == "done\n", complained
    assert len(log.read_text().splitlines()) <= 40 + 1  # at most the one value that was being written
