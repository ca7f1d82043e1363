"""msr-vtt: videos and sentences in one or two lists."""

import json

import pytest

from polymnia.data.source import SOURCES

MSRVTT = SOURCES.get("msr-vtt")


@pytest.fixture
def folder(tmp_path, write_set):
    return write_set("msr-vtt", tmp_path / "msr-vtt")


def load(folder, **settings):
    return MSRVTT(MSRVTT.Settings(path=str(folder), **settings)).load()


def test_captions_that_say_the_same_train_once_and_all_are_references(folder):
    samples = load(folder).samples
    at = {str(name): row for row, name in enumerate(samples.ids)}
    assert [samples[at[f"video1#{k}"]].columns["answer"] for k in range(5)] == [
        "a man is cooking 1", "a man cooks 1", "a man is at 1", "a man sees 1", "a man has 1",
    ]  # fmt: skip
    test = samples[at["video7010"]]
    assert len(json.loads(test.columns["references"])) == 7 and test.columns["answer"] == "a man cooks 7010"
    assert test.values["video"] == folder / "TestVideo" / "video7010.mp4"
    assert samples[at["video6513"]].columns["split"] == "valid"


def test_one_list_of_all_without_splits_is_split_by_number(folder):
    two = [json.loads((folder / f"{name}_videodatainfo.json").read_text()) for name in ("train_val", "test")]
    whole = {key: two[0][key] + two[1][key] for key in ("videos", "sentences")}
    before = load(folder).samples
    for video in whole["videos"]:
        del video["split"]
    for name in ("train_val", "test"):
        (folder / f"{name}_videodatainfo.json").unlink()
    (folder / "MSRVTT_data.json").write_text(json.dumps(whole))
    after = load(folder)
    assert not after.rejected
    assert dict(zip(after.samples.ids, after.samples.columns["split"], strict=True)) == dict(
        zip(before.ids, before.columns["split"], strict=True)
    )


def test_captions_of_no_video_and_videos_without_captions_are_set_aside(folder):
    path = folder / "train_val_videodatainfo.json"
    found = json.loads(path.read_text())
    found["videos"] += [{"video_id": "video2000000"}, {"video_id": "video3", "split": "train"}]
    found["sentences"].append({"caption": "of none", "video_id": "video5"})
    path.write_text(json.dumps(found))
    assert {(r.id, r.reason) for r in load(folder).rejected} == {
        ("train_val_videodatainfo.json videos 5", "is of the split None; accepted: train, validate, val, valid, test"),
        ("video3", "has no caption"),
        ("video5", "is captioned in train_val_videodatainfo.json and not listed"),
    }
