"""audiocaps: rows of one clip are its captions; sounds under the names in use."""

import json

import pytest

from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES

AUDIOCAPS = SOURCES.get("audiocaps")


@pytest.fixture
def folder(tmp_path, write_set):
    return write_set("audiocaps", tmp_path / "audiocaps")


def load(folder):
    return AUDIOCAPS(AUDIOCAPS.Settings(path=str(folder))).load()


def test_rows_of_one_clip_are_its_captions(folder):
    samples = load(folder).samples
    assert samples.ids.tolist() == ["d_30", "e_30", "c_30", "r1n-cOVtvkQ_30", "_a_30", "b_30"]
    assert json.loads(samples[0].columns["references"]) == [f"a woman talks, {k} times as d pours" for k in range(5)]
    assert json.loads(samples[3].columns["references"]) == ["a woman talks, 0 times as r1n-covtvkq pours"]
    assert MODALITIES.get("audio")().read(samples[3].values["audio"]).shape == (8000,)


@pytest.mark.parametrize(
    "name",
    ["Yb_30.wav", "b_30_40.wav", "Yb_30.000_40.000.wav", "b_30000_40000.flac", "b_30000.wav", "Yb.wav", "b.ogg",
     "102.mp3", "b.WAV"],
)  # fmt: skip
def test_a_sound_is_found_under_any_name_in_use(folder, name):
    held = folder / "train" / "b_30.wav"
    held.rename(folder / "train" / name)
    dataset = load(folder)
    assert not dataset.rejected and dataset.samples[5].values["audio"].name == name


def test_all_sounds_may_be_in_one_folder(folder):
    (folder / "audio").mkdir()
    for split in ("train", "val", "test"):
        for path in sorted((folder / split).iterdir()):
            path.rename(folder / "audio" / path.name)
        (folder / split).rmdir()
    assert len(load(folder).samples) == 6


@pytest.mark.parametrize("start", ["soon", "-3", "nan", "inf", "", "1e99"])
def test_a_start_is_in_seconds(folder, start):
    path = folder / "train.csv"
    path.write_text(path.read_text().replace("102,b,30", f"102,b,{start}"))
    rejected = load(folder).rejected
    assert len(rejected) == 1 and rejected[0].id == "train.csv line 4" and "start_time" in rejected[0].reason


def test_a_clip_in_two_lists_is_tested_and_not_trained_on(folder):
    with (folder / "train.csv").open("a") as file:
        file.write("999,d,30,A dog barks\n")
    dataset = load(folder)
    assert [(r.id, r.reason, r.broken) for r in dataset.rejected] == [("d_30", "is listed before", False)]
    assert "a dog barks" not in dataset.samples.columns["answer"]
