"""Looking through a data set: what is there, what is broken, what is there twice, how it may be cut."""

import csv
import json

import numpy as np
import pytest
import soundfile
from PIL import Image as Pillow

from polymnia.data.check import check
from polymnia.data.scenario import SCENARIOS
from polymnia.errors import DataError, SettingsError
from polymnia.training.build import build_stream


def mosaic(seed: int, size=(64, 48)) -> Pillow.Image:
    cells = np.random.default_rng(seed).integers(0, 255, (5, 5, 3)).astype(np.uint8)
    return Pillow.fromarray(cells).resize(size, Pillow.Resampling.BICUBIC)


def tones(seed: int, loudness: float = 0.5) -> np.ndarray:
    random, time = np.random.default_rng(seed), np.arange(16_000) / 16_000
    pitches = np.repeat(random.uniform(200, 4000, 8), 2000)
    return loudness * np.sin(2 * np.pi * pitches * time).astype(np.float32)


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def pictures(tmp_path):
    """Write six classes of eight pictures, and return the rows of their manifest."""
    rows = []
    for number in range(48):
        mosaic(number).save(tmp_path / f"{number}.png")
        rows.append([f"{number}.png", f"class {number % 6}"])
    return rows


def test_what_is_there(tmp_path, pictures):
    write(tmp_path / "data.csv", ["image", "label"], pictures)
    found = check(tmp_path / "data.csv")
    assert found.samples == 48 and found.classes == {f"class {c}": 8 for c in range(6)}
    seen = found.modalities["image"]
    assert (seen.kind, seen.values, seen.missing, seen.broken) == ("image", 48, 0, 0)
    assert str(seen.measures["width"]) == "64" and str(seen.measures["height"]) == "48"
    assert (found.same.samples, dict(found.near), found.rejected, found.problems) == (0, {}, (), ())


def test_what_is_broken_or_missing_is_counted_and_says_why(tmp_path, pictures):
    (tmp_path / "cut.png").write_bytes((tmp_path / "0.png").read_bytes()[:200])
    soundfile.write(tmp_path / "a.wav", tones(0), 16_000)
    rows = [[*row, ""] for row in pictures]
    rows[0][2], rows[1] = "a.wav", ["cut.png", "class 1", ""]
    write(tmp_path / "data.csv", ["image", "label", "audio"], [*rows, ["lost.png", "class 1", ""], ["", "class 1", ""]])
    found = check(tmp_path / "data.csv")
    assert found.samples == 47 and len(found.rejected) == 3
    assert (found.modalities["image"].values, found.modalities["image"].broken) == (47, 1)
    assert (found.modalities["audio"].values, found.modalities["audio"].missing) == (1, 47)
    assert str(found.modalities["audio"].measures["seconds"]) == "1"
    reasons = " ".join(r.reason for r in found.rejected)
    assert "truncated" in reasons and "no such file" in reasons and "has no modality" in reasons
    assert found.problems[0].startswith("3 rows set aside")


def test_what_is_there_twice(tmp_path, pictures):
    mosaic(0).resize((50, 40)).save(tmp_path / "smaller.jpg", quality=60)
    (tmp_path / "copy.png").write_bytes((tmp_path / "7.png").read_bytes())
    rows = [*pictures, ["smaller.jpg", "class 0"], ["copy.png", "class 5"]]
    write(tmp_path / "data.csv", ["image", "label"], rows)
    found = check(tmp_path / "data.csv")
    assert found.same.examples == (("line 9", "line 51"),) and found.same.conflicting == 1
    assert found.near["image"].examples == (("line 2", "line 50"),) and found.near["image"].conflicting == 0
    parted = "1 pair could be parted by a split: give both samples one `group`"
    assert found.problems == (
        f"1 sample with the same content as another; {parted}; 1 pair with different labels",
        f"1 sample with nearly the same image as another; {parted}",
    )


def test_a_group_keeps_twins_together_and_a_given_split_may_part_them(tmp_path, pictures):
    (tmp_path / "copy.png").write_bytes((tmp_path / "7.png").read_bytes())
    rows = [[*row, "train", ""] for row in pictures] + [["copy.png", "class 1", "train", ""]]
    rows[7][3] = rows[48][3] = "7"
    write(tmp_path / "data.csv", ["image", "label", "split", "group"], rows)
    found = check(tmp_path / "data.csv")
    assert (found.same.samples, found.same.across) == (1, 0)
    assert found.problems == (
        "1 sample with the same content as another",
        "the column 'split' names no test samples: nothing could be scored",
    )
    rows[48][2] = "test"
    write(tmp_path / "data.csv", ["image", "label", "split", "group"], rows)
    assert "1 pair on two sides of a split" in check(tmp_path / "data.csv").problems[0]


def test_sounds_are_alike_when_they_are_louder_and_texts_without_case(tmp_path):
    for name, sound in {"a": tones(1), "b": tones(1, 0.2), "c": tones(2)}.items():
        soundfile.write(tmp_path / f"{name}.flac", sound, 16_000)
    write(tmp_path / "sounds.csv", ["audio", "label"], [["a.flac", "x"], ["b.flac", "x"], ["c.flac", "y"]])
    assert check(tmp_path / "sounds.csv").near["audio"].examples == (("line 2", "line 3"),)
    texts = [["Ça va, Zoë?", "x"], ["ca va zoe", "x"], ["ça ne va pas", "y"]]
    write(tmp_path / "texts.csv", ["text", "label"], texts)
    assert check(tmp_path / "texts.csv").near["text"].examples == (("line 2", "line 3"),)


def test_what_shows_nothing_is_like_nothing(tmp_path):
    for name, shade in {"a": 10, "b": 200}.items():
        Pillow.new("RGB", (8, 8), (shade,) * 3).save(tmp_path / f"{name}.png")
    write(tmp_path / "data.csv", ["image", "label"], [["a.png", "x"], ["b.png", "y"]])
    assert check(tmp_path / "data.csv").near == {}


@pytest.mark.parametrize(
    ("column", "values", "scenario", "why"),
    [
        ("stage", ["spring", "autumn"], {"scenario": "given"}, "the column 'stage' names 2"),
        ("domain", ["north", "south"], {"scenario": "domain-incremental"}, "the column 'domain' has 2 values"),
        ("group", ["a", "b"], {"scenario": "class-incremental", "stages": 3}, "there are 6 classes"),
    ],
)
def test_the_suggested_stream_can_be_built(tmp_path, pictures, column, values, scenario, why):
    rows = [[*row, values[number // 6 % 2]] for number, row in enumerate(pictures)]
    if column == "group":
        rows = [[*row[:2], str(number)] for number, row in enumerate(rows)]
    write(tmp_path / "data.csv", ["image", "label", column], rows)
    found = check(tmp_path / "data.csv")
    assert found.stream == {"name": "manifest", "path": str(tmp_path / "data.csv"), **scenario} and found.why == why
    assert found.stream["scenario"] in SCENARIOS
    assert len(build_stream(found.stream, seed=0)) == scenario.get("stages", 2)


def test_few_classes_come_at_once_and_one_is_nothing_to_learn(tmp_path):
    write(tmp_path / "two.csv", ["text", "label"], [["meows", "cat"], ["barks", "dog"]])
    found = check(tmp_path / "two.csv")
    assert found.stream["scenario"] == "single"
    assert found.problems == ("2 classes with fewer than 3 samples, not testable: cat, dog",)
    write(tmp_path / "one.csv", ["text", "label"], [["meows", "cat"], ["purrs", "cat"], ["hisses", "cat"]])
    assert "there is one class only, 'cat'" in check(tmp_path / "one.csv").problems[0]


def test_texts_to_be_written_come_task_by_task(tmp_path):
    rows = [[f"a sound of {n}", "what is it?" if n % 2 else "", "a bark"] for n in range(8)]
    write(tmp_path / "said.csv", ["text", "question", "answer"], rows)
    found = check(tmp_path / "said.csv")
    assert found.stream["scenario"] == "tasks" and found.model == {"name": "language-model"} and not found.classes
    assert not any("class" in problem for problem in found.problems)
    assert len(build_stream(found.stream, seed=0)) == 2


def test_everything_goes_into_json_and_what_is_no_data_is_refused(tmp_path, pictures):
    write(tmp_path / "data.csv", ["image", "label"], [*pictures, ["lost.png", "class 1"]])
    told = json.loads(json.dumps(check(tmp_path / "data.csv").to_json(), default=str))
    assert told["modalities"]["image"]["measures"]["width"]["median"] == 64
    assert told["problems"] and told["rejected"][0]["id"] == "line 50"
    with pytest.raises(SettingsError, match=r"neither a source, nor a settings file, nor a manifest, nor a folder"):
        check(tmp_path / "data.odt")
    with pytest.raises(DataError, match="no such file"):
        check(tmp_path / "lost.csv")
    with pytest.raises(SettingsError, match=r"no such setting of 'manifest'. Did you mean 'label'"):
        check(tmp_path / "data.csv", lable="x")


def test_folders_are_checked_like_manifests(tmp_path):
    for number in range(8):
        folder = tmp_path / "set" / f"class {number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        mosaic(number).save(folder / f"{number}.png")
    found = check(tmp_path / "set")
    assert found.source["name"] == "folders" and found.samples == 8 and found.stream["stages"] == 2
