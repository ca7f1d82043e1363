"""The listing: an entry a source, with card and sizes, or what to do."""

import json

import pytest

from polymnia.data.listing import listing
from polymnia.data.source import SOURCES


@pytest.fixture(scope="module")
def entries() -> dict[str, dict]:
    return {entry["name"]: entry for entry in listing()}


def test_every_source_states_licence_and_citation(entries):
    assert list(entries) == SOURCES.names() and json.loads(json.dumps(entries)) == entries
    for entry in entries.values():
        assert entry["title"] and entry["licence"] and entry["citation"] and entry["state"]
        assert entry["available"] or entry["get"], "what is not here can be had"


def test_sizes_of_what_is_here(entries):
    digits = entries["digits"]
    assert digits["state"] == "ready" and digits["kinds"] == dict.fromkeys(digits["modalities"], "table")
    assert (digits["samples"], digits["classes"], digits["groups"]) == (1797, 10, None)


def test_what_is_not_here_says_how_to_get_it(entries, monkeypatch, tmp_path):
    assert entries["manifest"]["samples"] is None and not entries["manifest"]["available"]
    (tmp_path / "data/stamps/usr/share/tuxpaint/stamps").mkdir(parents=True)
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    [damaged] = listing("stamps")
    assert not damaged["available"] and "holds no stamps" in damaged["state"]


@pytest.mark.stamps
def test_the_stamps_are_listed_with_their_groups(entries):
    stamps = entries["stamps"]
    assert stamps["modalities"] == {"audio": 925, "image": 950, "text": 950}
    assert stamps["samples"] == 950 and stamps["classes"] == 16 and 500 < stamps["groups"] < 620
