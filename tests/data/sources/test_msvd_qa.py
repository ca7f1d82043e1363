"""msvd-qa: questions by number, clips by a mapping."""

import json

import pytest

from polymnia.data.source import SOURCES
from polymnia.errors import DataError

MSVDQA = SOURCES.get("msvd-qa")


@pytest.fixture
def folder(tmp_path, write_set):
    return write_set("msvd-qa", tmp_path / "msvd-qa")


def load(folder):
    return MSVDQA(MSVDQA.Settings(path=str(folder))).load()


def test_a_question_finds_its_clip_through_the_mapping(folder):
    samples = load(folder).samples
    assert samples.ids.tolist() == ["test/400", "test/501", "valid/300", "train/100", "train/101", "train/202"]
    first = samples[3]
    assert first.values["video"] == folder / "video" / "-4wsu_1_5.avi" and first.columns["group"] == "-4wsu_1_5"
    assert first.columns["prompt"] == "what is a 1 doing?" and first.columns["answer"] == "chew"
    assert json.loads(first.columns["references"]) == ["chew"]


def test_clips_may_be_renamed_to_their_numbers(folder):
    for path in sorted((folder / "video").iterdir()):
        path.rename(path.with_name(f"vid{path.stem.split('_')[1]}.avi"))
    dataset = load(folder)
    assert not dataset.rejected and dataset.samples[3].values["video"].name == "vid1.avi"


def test_a_broken_line_of_the_mapping_is_set_aside_with_the_questions_about_it(folder):
    path = folder / "youtube_mapping.txt"
    path.write_text(path.read_text().replace("-4wsu_1_5 vid1\n", "-4wsu_1_5\n../../x vid9\nx vidnine\n"))
    reasons = [(r.id, r.reason) for r in load(folder).rejected]
    assert [place for place, _ in reasons[:3]] == [f"youtube_mapping.txt line {n}" for n in (1, 2, 3)]
    assert reasons[3:] == [
        (f"train_qa.json entry {n}", "has the video_id 1, which youtube_mapping.txt does not name") for n in (1, 2)
    ]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"youtube_mapping\.txt cannot be read"):
        load(folder)
