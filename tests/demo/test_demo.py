"""The demo's parts over a small folder of made stamps: real encoders, few epochs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from polymnia.config import read
from polymnia.demo import chosen_stream, run_demo
from polymnia.demo.page import write_page
from polymnia.demo.queries import chosen, ranks
from polymnia.demo.space import PROBES, grow_space, space_settings
from polymnia.errors import DataError
from polymnia.training.settings import run_settings

WORDS = ("frog", "crow", "coin", "spoon", "rose", "ship", "hat", "drum", "lamp", "key", "moon", "tent", "whale", "bell",
         "corn", "vase", "glove", "plum", "kite", "harp")  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYMNIA_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty stamps in two classes, with picture, caption, French speech (a tone of its own each) and a sound."""
    root, random = tmp_path_factory.mktemp("stamps"), np.random.default_rng(0)
    for place, word in enumerate(WORDS):
        path = root / ("animals" if place % 2 else "things") / word
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 255, (48, 48, 3), dtype=np.uint8)).save(path.with_suffix(".png"))
        path.with_suffix(".txt").write_text(f"A {word}.\nfr.utf8=Un {word}.\n")
        time = np.arange(16_000) / 16_000
        soundfile.write(f"{path}_desc_fr.wav", 0.3 * np.sin(2 * np.pi * (200 + 60 * place) * time), 16_000)
        soundfile.write(path.with_suffix(".wav"), 0.1 * random.standard_normal(16_000), 16_000)
    return root


@pytest.fixture(scope="module")
def grown(folder, tmp_path_factory):
    """What the second part returns, says and leaves behind."""
    out, said = tmp_path_factory.mktemp("demo"), []
    settings = space_settings(path=str(folder), speech="openwakeword", epochs=2)
    found = grow_space(out / "space", settings, listen=lambda event: None, say=said.append)
    return out, found, "\n".join(said)


def test_the_space_is_that_of_the_settings_file():
    config = run_settings(read(Path(__file__).parents[2] / "configs" / "space.yaml"))
    mine = space_settings()
    for name in ("stream", "encoders", "model", "method", "trainer", "seed"):
        assert getattr(mine, name) == getattr(config, name), name
    assert set(PROBES) - {"paths"} <= set(config.evaluation.probes)


def test_each_stage_shows_pairs_seen_and_never_paired_beside_chance(grown):
    _, found, said = grown
    assert [stage["new"] for stage in found["stages"]] == ["image", "audio", "sound"]
    last = {(row["from"], row["to"]): row for row in found["stages"][2]["retrieval"]}
    assert len(last) == 12 and not last["audio", "image"]["paired"] and last["text", "image"]["paired"]
    for row in last.values():
        assert row["chance"] == min(1, 10 / row["samples"]) and 0 <= row["recall"] <= 1
    assert said.count("samples, never paired:") == 2 and said.count("samples, paired in training:") == 3
    assert "spoken French → picture" in said and "chance" in said


def test_old_outputs_and_old_retrieval_are_certified(grown):
    _, found, said = grown
    first, second, third = found["stages"]
    assert not first["old paths"] and not first["outputs identical"]
    assert second["outputs identical"]["image"] and third["outputs identical"]["audio"]
    names = [stage["stage"] for stage in found["stages"]]
    assert [row["stage"] for row in third["old paths"]] == [names[0], names[0], names[1], names[1]]
    for row in third["old paths"]:
        assert row["identical"] == 1.0 and row["R@10"] == row["R@10 then"]
    assert "old picture vectors: unchanged to the last bit" in said and "CHANGED" not in said


def test_spoken_queries_ask_the_index_that_is_left_behind(grown, folder, command):
    out, found, said = grown
    queries = found["queries"]
    assert queries["pictures"] > 10 and queries["recordings"] >= 2
    assert queries["chance"] == 10 / queries["pictures"]
    [row] = [r for r in found["stages"][2]["retrieval"] if (r["from"], r["to"]) == ("audio", "image")]
    assert queries["test pictures"] >= row["samples"] and 0 <= queries["recall among test pictures"] <= 1
    for one in queries["shown"]:
        assert Path(one["file"]).is_file() and len(one["found"]) == 3 and one["says"].startswith("A ")
        assert one["right among ten"] is (one["rank"] <= 10)
        assert {hit["caption"] for hit in one["found"]} <= {f"A {word}." for word in WORDS}
    shown = f'polymnia search {out / "space"} "a frog" --in image'
    assert shown in said and shown == queries["commands"][0]
    done = command("search", out / "space", "a frog", "--in", "image", "-k", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert {hit["modality"] for hit in json.loads(done.stdout)} == {"image"}


def test_ranks_count_ties_against_us_and_the_best_and_drawn_are_apart():
    pictures = [{"id": name, "vector": vector} for name, vector in (("a", [1, 0]), ("b", [0, 1]), ("c", [1, 0]))]
    recordings = [{"id": "a", "vector": [1, 0]}, {"id": "b", "vector": [0.6, 0.8]}, {"id": "x", "vector": [1, 0]}]
    assert ranks(recordings, pictures) == {"a": 2, "b": 1}
    rows, places = [{"id": f"{i}"} for i in range(9)], {f"{i}": 9 - i for i in range(9)}
    shown = chosen(rows, places, seed=0)
    assert [row["id"] for why, row in shown if why == "best"] == ["8", "7", "6"]
    assert len({row["id"] for _, row in shown}) == 6 and shown == chosen(rows, places, seed=0)


def test_without_lancedb_the_space_is_learned_and_the_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    said = []
    settings = space_settings(path=str(folder), speech="openwakeword", epochs=1)
    found = grow_space(tmp_path / "space", settings, listen=lambda event: None, say=said.append)
    assert found["queries"] is None and len(found["stages"]) == 3
    assert any("lancedb is not installed" in line and "polymnia[search]" in line for line in said)


def test_the_page_holds_both_parts(grown):
    out, found, _ = grown
    page = write_page(out / "report.html", [out / "space"], found).read_text()
    for part in ("A space that grows", "spoken French → picture", "unchanged to the last bit", "space/report.html",
                 "Spoken French asks for pictures", "chance"):  # fmt: skip
        assert part in page, part
    assert "A space that grows" not in write_page(out / "plain.html", [out / "space"], None).read_text()


def test_where_the_stamps_cannot_be_had_the_digits_are_learned_and_the_space_is_left_out(tmp_path, monkeypatch):
    from polymnia.data.source import SOURCES

    def fails(into=None):
        raise DataError("no network")

    kind = SOURCES.get("stamps")
    monkeypatch.setattr(kind, "available", classmethod(lambda cls: False))
    monkeypatch.setattr(kind, "get", fails)
    said = []
    assert chosen_stream(None, said.append)["name"] == "digits" and "cannot be had here: no network" in said[-1]
    monkeypatch.setattr("polymnia.demo.classes.METHODS", ({"name": "ncm"}, {"name": "slda"}))
    summary = run_demo(tmp_path, say=said.append)
    assert summary["space"] is None and any("shared space is left out" in line for line in said)
    held = json.loads((tmp_path / "summary.json").read_text())
    assert [run["method"] for run in held["runs"]] == ["ncm", "slda"] and (tmp_path / "report.html").is_file()
