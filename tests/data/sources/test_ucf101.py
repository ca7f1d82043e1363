"""ucf101: a small folder in the layout of UCF-101, with real AVIs, some of them without sound."""

import numpy as np
import pytest

from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.errors import DataError, SettingsError

UCF101 = SOURCES.get("ucf101")
CLASSES = ["ApplyEyeMakeup", "BasketballDunk", "HandstandPushups"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_clip):
    """Return three classes of two groups for training and one for test, two clips a group; one class is silent."""
    root = tmp_path_factory.mktemp("UCF101")
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("".join(f"{n} {name}\r\n" for n, name in enumerate(CLASSES, start=1)))
    for fold, tested in ((1, 1), (2, 2)):
        rows = {"trainlist": [], "testlist": []}
        for number, name in enumerate(CLASSES, start=1):
            for group in (1, 2, 3):
                for clip in (1, 2):
                    stem = f"v_{name.replace('stand', 'Stand')}_g{group:02d}_c{clip:02d}"
                    if fold == 1:
                        write_clip(
                            root / "UCF-101" / name / f"{stem}.avi", grey=60 * number, hertz=300 if number < 3 else None
                        )
                    if group == tested:
                        rows["testlist"].append(f"{name}/{stem}.avi")
                    else:
                        rows["trainlist"].append(f"{name}/{stem}.avi {number}")
        for kind, lines in rows.items():
            (lists / f"{kind}{fold:02d}.txt").write_text("\r\n".join(lines) + "\r\n")
    return root


def load(folder, **settings):
    return UCF101(UCF101.Settings(path=str(folder), **settings)).load()


def test_the_official_split_keeps_groups_together(folder):
    dataset = load(folder)
    samples = dataset.samples
    assert dataset.class_names == tuple(CLASSES) and len(samples) == 18 and not dataset.rejected
    row = samples[samples.ids.tolist().index("v_HandStandPushups_g01_c02")]
    assert row.columns["group"] == "HandstandPushups/g01" and row.columns["split"] == "test" and row.target == 2
    assert np.unique(samples.columns["split"], return_counts=True)[1].tolist() == [6, 12]
    second = load(folder, fold=2).samples
    assert second.columns["split"][second.ids.tolist().index("v_HandStandPushups_g01_c02")] == "train"


def test_clips_without_a_sound_track_lack_audio(folder):
    samples = load(folder).samples
    assert samples.present["audio"].tolist() == (samples.targets < 2).tolist() and bool(samples.present["video"].all())
    heard = next(sample for sample in map(samples.__getitem__, range(18)) if "audio" in sample.values)
    sound = MODALITIES.get("audio")().read(heard.values["audio"])
    assert np.abs(np.fft.rfft(sound)).argmax() * 16000 / len(sound) == pytest.approx(300, abs=15)
    assert MODALITIES.get("video")().read(heard.values["video"]).shape == (4, 16, 32, 3)
    assert load(folder, only_with_sound=True).class_names == tuple(CLASSES[:2])
    assert load(folder, modalities=("audio",)).class_names == tuple(CLASSES[:2])


def test_a_stream(folder, cut_by):
    stream = cut_by(UCF101(UCF101.Settings(path=str(folder))), "class-incremental", classes_per_stage=1)
    assert [(len(s.train), len(s.valid), len(s.test)) for s in stream] == [(4, 0, 2)] * 3


def test_what_is_broken_is_set_aside(folder, tmp_path):
    (tmp_path / "UCF-101").symlink_to(folder / "UCF-101")
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    for path in (folder / "ucfTrainTestlist").iterdir():
        (lists / path.name).write_text(path.read_text())
    with (lists / "trainlist01.txt").open("a") as file:
        file.write(
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g09_c01.avi 1\nno clip\nApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\n"
        )
    reasons = {r.id: r.reason for r in load(tmp_path).rejected}
    assert reasons == {
        "v_ApplyEyeMakeup_g09_c01": "there is no such file",
        "trainlist01.txt line 14": "does not begin with <Class>/v_<Class>_gXX_cYY.avi",
        "v_ApplyEyeMakeup_g01_c01": "is listed before",
    }


def test_wrong_settings_and_no_data(folder, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match=r"stream.fold: 4 is given; accepted: 1, 2, 3"):
        load(folder, fold=4)
    with pytest.raises(DataError, match=r"lacks ucfTrainTestlist/trainlist03.txt"):
        load(folder, fold=3)
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"Download UCF101.rar .* holds UCF-101/ and ucfTrainTestlist/"):
        UCF101().load()
