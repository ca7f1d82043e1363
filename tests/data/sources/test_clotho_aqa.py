"""clotho-aqa: three rows, one question."""

import json

import pytest

from polymnia.data.source import SOURCES

CLOTHO = SOURCES.get("clotho-aqa")


@pytest.fixture
def folder(tmp_path, write_set):
    return write_set("clotho-aqa", tmp_path / "clotho-aqa")


def load(folder, **settings):
    return CLOTHO(CLOTHO.Settings(path=str(folder), **settings)).load()


def test_three_answers_are_three_samples_to_train_and_one_to_test(folder):
    samples = load(folder).samples
    at = {str(name): row for row, name in enumerate(samples.ids)}
    assert [samples[at[f"a [1].wav/1#{k}"]].columns["answer"] for k in range(3)] == ["yes", "no", "yes"]
    test = samples[at["e.wav/1"]]
    assert test.columns["answer"] == "yes" and json.loads(test.columns["references"]) == ["yes", "no", "yes"]
    assert test.columns["prompt"] == "is it raining?" and test.columns["group"] == "e.wav"
    assert test.values["audio"] == folder / "audio_files" / "e.wav" and len(samples) == 3 * 3 + 1 + 2
    assert sum(load(folder, answers="common").samples.columns["split"] == "train") == 3


def test_questions_are_told_apart_by_their_words(folder):
    with (folder / "clotho_aqa_train.csv").open("a") as file:
        file.writelines(f"b.wav,Is there a car?,{answer},yes\n" for answer in ("No", "no", "No."))
    samples = load(folder).samples
    assert [a for a, i in zip(samples.columns["answer"], samples.ids, strict=True) if i.startswith("b.wav/2")] == [
        "no", "no", "no",
    ]  # fmt: skip


def test_questions_on_which_not_all_agree_can_be_left_out(folder):
    for split in ("train", "val", "test"):
        path = folder / f"clotho_aqa_{split}.csv"
        first, rest = path.read_text().split(",no,", 1)
        path.write_text(f"{first},YES.,{rest}")
    dataset = load(folder, agreed=True)
    assert len(dataset.samples) == 3 + 1 + 1 and {r.broken for r in dataset.rejected} == {False}
    assert dataset.rejected[0].reason == "its answers differ: Yes, no, yes"


def test_sounds_may_be_in_another_format(folder):
    path = folder / "audio_files" / "b.wav"
    path.rename(path.with_suffix(".flac"))
    assert not load(folder).rejected
