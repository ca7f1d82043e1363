"""ave: a small folder in the layout of AVE_Dataset, with real films."""

from pathlib import Path

import numpy as np
import pytest

from polymnia.config import read
from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DataError, SettingsError
from polymnia.training.run import Run
from polymnia.training.settings import run_settings

AVE = SOURCES.get("ave")
CONFIG = Path(__file__).parents[3] / "configs" / "ave.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_clip):
    """Return 4 classes of 3 clips each for training, one for validation and one for test."""
    root, lists = tmp_path_factory.mktemp("AVE_Dataset"), {"trainSet": [], "valSet": [], "testSet": []}
    for c, label in enumerate(["Church bell", "Bark", "Race car, auto racing", "Accordion"]):
        for n in range(5):
            video = f"-v_{c}{n}"
            write_clip(root / "AVE" / f"{video}.mp4", grey=40 * c + 5 * n, hertz=200 * (c + 1))
            lists["trainSet" if n < 3 else ("valSet", "testSet")[n - 3]].append(f"{label}&{video}&good&0&{n + 1}")
    everything = [line for lines in lists.values() for line in lines]
    (root / "Annotations.txt").write_text("\n".join(["Category&VideoID&Quality&StartTime&EndTime", *everything]) + "\n")
    for name, lines in lists.items():
        (root / f"{name}.txt").write_text("\r\n".join(lines) + "\r\n")
    return root


def load(folder, **settings):
    return AVE(AVE.Settings(path=str(folder), **settings)).load()


def test_clips_labels_and_the_official_split(folder):
    dataset = load(folder)
    samples = dataset.samples
    assert dataset.class_names == ("Accordion", "Bark", "Church bell", "Race car, auto racing") and len(samples) == 20
    assert dataset.kinds == {"audio": "audio", "video": "video"} and not dataset.rejected
    rows = {name: at for at, name in enumerate(samples.ids.tolist())}
    first = samples[rows["-v_03"]]
    assert first.columns["split"] == "valid" and first.columns["label"] == "Church bell" and first.columns["end"] == "4"
    assert first.values["audio"] == first.values["video"] == folder / "AVE" / "-v_03.mp4"
    assert np.unique(samples.columns["split"], return_counts=True)[1].tolist() == [4, 12, 4]


def test_sound_and_pictures_are_both_read_from_the_one_file(folder):
    samples = load(folder).samples
    path = folder / "AVE" / "-v_21.mp4"
    sound, frames = MODALITIES.get("audio")().read(path), MODALITIES.get("video")().read(path)
    spectrum = np.abs(np.fft.rfft(sound))
    assert abs(len(sound) - 8000) < 2500 and spectrum.argmax() * 16000 / len(sound) == pytest.approx(600, abs=15)
    assert frames.shape == (4, 16, 32, 3) and abs(frames.mean() - 85) < 5
    assert load(folder, modalities=("audio",)).samples.modalities == ("audio",) and len(samples) == 20


def test_four_times_seven_becomes_four_times_one_here(folder, cut_by):
    stages = read(CONFIG)["stream"]["stages"]
    stream = cut_by(AVE(AVE.Settings(path=str(folder))), "class-incremental", stages=stages)
    assert [(len(s.train), len(s.valid), len(s.test)) for s in stream] == [(3, 1, 1)] * 4
    encoded = encode_stream(stream, {m: _Statistics(m) for m in ("audio", "video")})
    assert not encoded.rejected and all(stage.widths == {"audio": 2, "video": 2} for stage in encoded)


def test_what_is_broken_is_set_aside_and_counted(folder, tmp_path, write_clip, cut_by):
    root = tmp_path / "copy"
    (root / "AVE").mkdir(parents=True)
    for name in ("trainSet.txt", "valSet.txt", "testSet.txt"):
        (root / name).write_text((folder / name).read_text())
    for path in (folder / "AVE").iterdir():
        (root / "AVE" / path.name).write_bytes(path.read_bytes())
    with (root / "trainSet.txt").open("a") as file:
        file.write("Bark&only three\nBark&gone&good&0&5\nBark&-v_14&good&0&9\nBark&cut&good&0&9\n")
    (root / "AVE" / "cut.mp4").write_bytes((root / "AVE" / "-v_10.mp4").read_bytes()[:900])
    dataset = load(root)
    reasons = {r.id: (r.reason, r.broken) for r in dataset.rejected}
    assert reasons == {
        "trainSet.txt line 13": ("is not Category&VideoID&Quality&StartTime&EndTime", True),
        "gone": ("there is no such file", True),
        "-v_14": ("is listed before", False),
    }, "and the test clip -v_14 stays a test clip"
    assert (
        dict(zip(dataset.samples.ids.tolist(), dataset.samples.columns["split"].tolist(), strict=True))["-v_14"]
        == "test"
    )
    stream = cut_by(AVE(AVE.Settings(path=str(root))), "class-incremental", stages=2)
    encoded = encode_stream(stream, {m: _Statistics(m) for m in ("audio", "video")}, max_rejected=0.5)
    assert {(r.id, r.modality) for r in encoded.rejected if r.id == "cut"} == {("cut", "audio"), ("cut", "video")}


def test_without_the_data_it_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    assert not AVE.available()
    with pytest.raises(
        DataError, match=r"ave: .* is not a folder. Download AVE_Dataset.zip from .*YapengTian.*path=FOLDER"
    ):
        AVE().load()
    with pytest.raises(DataError, match=r"lacks AVE, trainSet.txt, valSet.txt, testSet.txt"):
        load(tmp_path)
    with pytest.raises(SettingsError, match="no such modality: 'sound'"):
        load(tmp_path, modalities=("sound",))


@pytest.mark.bundled("openwakeword", "efficientnet-lite0-frames")
def test_the_configuration_runs_from_end_to_end(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))
    settings = run_settings(read(CONFIG, [f"stream.path={folder}", "trainer.epochs=2"]))
    scores = Run(settings, tmp_path / "run").go()
    assert len(scores.matrix) == 4 and (tmp_path / "run" / "scores.json").is_file()


class _Statistics(ENCODERS.get("identity")):
    """Mean and spread of whatever it is: enough to see that files are read."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def encode(self, values):
        return super().encode([np.array([np.mean(value), np.std(value)], np.float32) for value in values])
