"""kinetics-sounds: a small folder in the layout of Kinetics-400, with real films."""

import numpy as np
import pytest

from polymnia.data.source import SOURCES
from polymnia.data.sources.kinetics_sounds import CLASSES
from polymnia.errors import DataError

Kinetics = SOURCES.get("kinetics-sounds")
HEADER = "label,youtube_id,time_start,time_end,split,is_cc"


@pytest.fixture
def folder(tmp_path, write_clip):
    """Return two of the classes and one other; clips flat, or in a folder a class."""
    lists = {"train": [], "val": [], "test": []}
    for c, label in enumerate(["playing drums", "tap dancing", "abseiling"]):
        for n, split in enumerate(["train", "train", "train", "val", "test"]):
            video, start = f"-ab_{c}{n}", 10 * n
            place = tmp_path / split if n else tmp_path / split / label.replace(" ", "_")
            write_clip(place / f"{video}_{start:06d}_{start + 10:06d}.mp4", grey=80 * c, hertz=None if n == 1 else 440)
            lists[split].append(f'"{label}",{video},{start},{start + 10},{split},0')
    for split, rows in lists.items():
        (tmp_path / f"{split}.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return tmp_path


def load(folder, **settings):
    return Kinetics(Kinetics.Settings(path=str(folder), **settings)).load()


def test_the_31_classes():
    assert len(CLASSES) == len(set(CLASSES)) == 31 and list(CLASSES) == sorted(CLASSES)


def test_clips_of_the_classes_and_the_official_split(folder):
    dataset = load(folder)
    samples = dataset.samples
    assert dataset.class_names == ("playing drums", "tap dancing") and len(samples) == 10 and not dataset.rejected
    assert np.unique(samples.columns["split"], return_counts=True)[1].tolist() == [2, 6, 2]
    silent = np.array([name.startswith(("-ab_01", "-ab_11")) for name in samples.ids.tolist()])
    assert samples.present["audio"].numpy().tolist() == (~silent).tolist(), "a film without sound lacks audio"
    first = samples[samples.ids.tolist().index("-ab_00_000000_000010")]
    assert first.values["video"] == folder / "train" / "playing_drums" / "-ab_00_000000_000010.mp4"
    assert load(folder, classes=("abseiling", "tap_dancing")).class_names == ("abseiling", "tap dancing")


def test_lists_may_lie_in_a_folder_and_validation_may_serve_as_test(folder, cut_by):
    (folder / "annotations").mkdir()
    (folder / "train.csv").rename(folder / "annotations" / "train.csv")
    (folder / "val.csv").rename(folder / "annotations" / "validate.csv")
    (folder / "test.csv").unlink()
    stream = cut_by(Kinetics(Kinetics.Settings(path=str(folder))), "class-incremental", stages=2)
    assert [(len(s.train), len(s.valid), len(s.test)) for s in stream] == [(3, 0, 1)] * 2


def test_videos_that_were_taken_down_do_not_count_as_broken(folder):
    with (folder / "train.csv").open("a") as file:
        file.write("singing,gone,0,10,train,0\nsinging,odd,x,10,train,0\nplaying drums,-ab_04,40,50,train,0\n")
        file.write("playing drums,-ab_04,70,80,train,0\n")
    (folder / "train" / "-ab_04_000070_000080.mp4").write_bytes(b"any")
    found = {(r.id, r.reason, r.broken) for r in load(folder).rejected}
    assert found == {
        ("gone_000000_000010", "there is no such file", False),
        ("train.csv line 12", "has no whole time_start and time_end", True),
        ("-ab_04_000040_000050", "is listed before", False),
        ("-ab_04_000070_000080", "its group '-ab_04' is also in test", False),
    }


def test_without_the_data_it_says_where_it_comes_from(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))
    assert not Kinetics.available()
    with pytest.raises(
        DataError, match=r"must hold train.csv, val.csv, test.csv, and holds none of them. Download Kinetics"
    ):
        Kinetics().load()
    (folder / "val.csv").unlink()
    (folder / "test.csv").unlink()
    with pytest.raises(DataError, match=r"and holds train.csv\."):
        load(folder)
