"""The toy world of scenes: what is right of each sample, what is drawn anew, and what a stream of it holds."""

import json

import numpy as np
import pytest
import torch

from polymnia.data.scenario import cut
from polymnia.data.scenarios.tasks import PUBLISHED, Tasks
from polymnia.data.sources.scenes import KINDS, QUESTIONS, SCENES, WORDS, Scenes, truth
from polymnia.data.wording import plain
from polymnia.encoders.encoding import encode_stream
from polymnia.encoders.identity import Identity
from polymnia.errors import SettingsError


def load(**settings):
    return Scenes(Scenes.Settings(**{"train_samples": 4, "test_samples": 2, **settings})).load()


@pytest.fixture(scope="module")
def samples():
    return load().samples


def test_there_are_144_scenes_with_captions_of_their_own():
    assert len(SCENES) == len({scene.caption for scene in SCENES}) == 4 * 4 * 3 * 3
    assert all(plain(scene.caption) == scene.caption for scene in SCENES)


def test_the_truth_answers_every_question_and_nothing_else():
    scene = next(s for s in SCENES if s == ("blue", "circle", "three", "middle"))
    assert scene.caption == "there is three blue circle in the middle"
    assert [truth(scene.caption, asks) for asks in QUESTIONS.values()] == list(scene)
    assert truth("a frog", QUESTIONS["place"]) is None
    assert truth(scene.caption, "who is it?") is None


def test_every_sample_says_what_is_right_of_it(samples):
    assert len(samples) == 144 * (4 + 2) * 2 * 3
    for row in range(0, len(samples), 7):
        columns = samples[row].columns
        right = columns["scene"] if columns["task"] == "captioning" else truth(columns["scene"], columns["prompt"])
        assert columns["answer"] == right
        assert json.loads(columns["references"]) == [right]
        seen = [m for m in samples.modalities if samples.present[m][row]]
        assert len(seen) == 1
        assert columns["prompt"] == (QUESTIONS.get(columns["kind"]) or f"describe the {seen[0]}.")


def test_questions_are_equally_frequent(samples):
    asked = samples.columns["kind"][samples.columns["task"] == "answering"]
    assert {kind: int((asked == kind).sum()) for kind in KINDS} == dict.fromkeys(KINDS, len(asked) // 4)


def test_values_are_the_scene_as_its_modality_shows_it_plus_noise(samples):
    source = Scenes(Scenes.Settings(noise=0.2))
    number = {scene.caption: at for at, scene in enumerate(SCENES)}
    shown = np.array([number[caption] for caption in samples.columns["scene"].tolist()])
    for modality in samples.modalities:
        rows = samples.present[modality].numpy()
        noise = samples.values[modality][rows] - source.clean(modality)[shown[rows]]
        assert abs(float(noise.std()) - 0.2) < 0.002
        assert not samples.values[modality][~rows].any()
        assert abs(float(np.square(source.clean(modality)).mean()) - 1) < 1e-6


def test_no_noise_is_seen_twice_and_the_same_settings_give_the_same_numbers(samples):
    held = samples.values["image"][samples.present["image"].numpy()]
    assert len(np.unique(held.reshape(len(held), -1), axis=0)) == len(held)
    again, other = load().samples, load(data_seed=1).samples
    np.testing.assert_array_equal(again.values["video"], samples.values["video"])
    assert not np.array_equal(other.values["video"], samples.values["video"])


def test_modalities_are_three_different_maps():
    image, video = (Scenes().clean(m).reshape(144, -1) for m in ("image", "video"))
    assert abs(float(np.corrcoef(image.ravel(), video.ravel())[0, 1])) < 0.1


def test_unseen_scenes_are_tested_and_never_trained_and_every_word_is_trained():
    held = load(unseen=17, valid_samples=1).samples
    scenes = {
        split: set(held.columns["scene"][held.columns["split"] == split].tolist())
        for split in ("train", "valid", "test")
    }
    assert [len(scenes[split]) for split in ("train", "valid", "test")] == [110, 17, 17]
    assert not scenes["train"] & scenes["test"] and not scenes["valid"] & scenes["test"]
    assert set(" ".join(scenes["train"]).split()) >= {word for words in WORDS.values() for word in words}
    assert len(np.unique(held.columns["group"])) == 144


@pytest.mark.parametrize("order", ["1", "2"])
def test_both_published_orders_can_be_cut_and_need_no_cache(order):
    stream = cut(Scenes(Scenes.Settings(train_samples=4, test_samples=2)), Tasks(Tasks.Settings(order=(order,))))
    assert [f"{stage.task} {stage.modalities[0]}" for stage in stream] == list(PUBLISHED[order])
    assert all(len(stage.train) == 576 and len(stage.test) == 288 for stage in stream)
    encoder = Identity()
    first = encode_stream(stream, dict.fromkeys(stream.kinds, encoder), pool=False)[0]
    batch = first.train.batch(torch.arange(5))
    assert batch.values[first.modalities[0]].shape == (5, 4, 24)
    assert not stream.rejected and not encoder.cached


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modalities": ("touch",)}, "touch"),
        ({"tasks": ("classification",)}, "stream.tasks"),
        ({"train_samples": 0}, "stream.train_samples"),
        ({"unseen": 36}, "at most 35"),
        ({"unseen": 18, "valid_samples": 1}, "at most 17"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        load(**settings)
