"""uestc-mmea: a small folder in the layout of UESTC-MMEA-CL, with real films and sensor tables."""

import numpy as np
import pytest

from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.data.sources.uestc_mmea import read_sensors
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DataError

UESTC = SOURCES.get("uestc-mmea")
FOLDERS = ["1_upstairs", "2_downstairs", "10_wash_hand", "32_watch_TV"]


def table(c: int, steps: int = 40) -> str:
    """Return a sensor's table: 1 g upwards, and c degrees a second about x, in steps of the sensor."""
    return "".join(f"{100 + t},-200,16384,{16.4 * c},0,{t}\n" for t in range(steps))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_clip):
    """Return four activities of five clips each: three for training, one for validation, one for test."""
    root, lists = tmp_path_factory.mktemp("UESTC-MMEA-CL"), {"train": [], "val": [], "test": []}
    for c, name in enumerate(FOLDERS):
        for n in range(5):
            write_clip(root / "video" / name / f"{n}.mp4", grey=50 * c, hertz=None)
            path = root / "sensor" / name / f"{n}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(table(c))
            side = "train" if n < 3 else ("val", "test")[n - 3]
            lists[side].append(f"yourdataset_path/data/{name}/{n} 1 250 {c}")
    for side, lines in lists.items():
        (root / f"{side}.txt").write_text("\n".join(lines) + "\n")
    return root


def load(folder, **settings):
    return UESTC(UESTC.Settings(path=str(folder), **settings)).load()


def test_three_modalities_and_the_official_split(folder):
    dataset = load(folder)
    samples = dataset.samples
    assert dataset.class_names == ("upstairs", "downstairs", "wash hand", "watch TV"), "in the order of their numbers"
    assert dataset.kinds == {"video": "video", "acceleration": "motion", "gyroscope": "motion"} and not dataset.rejected
    assert np.unique(samples.columns["split"], return_counts=True)[1].tolist() == [4, 12, 4]
    sample = samples[samples.ids.tolist().index("32_watch_TV/4")]
    assert sample.target == 3 and sample.columns["split"] == "test"
    assert sample.values["video"] == folder / "video" / "32_watch_TV" / "4.mp4"
    acceleration = MODALITIES.get("motion")().read(sample.values["acceleration"])
    assert acceleration.shape == (40, 3)
    np.testing.assert_allclose(acceleration[0], [100 / 16384, -200 / 16384, 1.0])
    np.testing.assert_allclose(sample.values["gyroscope"][0], [3.0, 0, 0], rtol=1e-6)
    assert load(folder, modalities=("video",)).samples.modalities == ("video",)


def test_a_stream_of_new_activities(folder, cut_by):
    stream = cut_by(UESTC(UESTC.Settings(path=str(folder))), "class-incremental", stages=2)
    assert [(len(s.train), len(s.valid), len(s.test)) for s in stream] == [(6, 2, 2)] * 2
    identity = ENCODERS.get("identity")
    encoders = {"video": _Grey(), "acceleration": identity(), "gyroscope": identity()}
    encoded = encode_stream(stream, encoders, pool=False)
    assert encoded[0].widths == {"video": 1, "acceleration": 3, "gyroscope": 3} and not encoded.rejected


def test_what_is_broken_is_set_aside(folder, tmp_path):
    for name in ("video", "sensor"):
        (tmp_path / name).symlink_to(folder / name)
    for name in ("val", "test"):
        (tmp_path / f"{name}.txt").write_text((folder / f"{name}.txt").read_text())
    rows = ["data/1_upstairs/0", "D:\\set\\2_downstairs\\1.mp4 1 250 1", "10_wash_hand/9 1 250 2", "nothing",
            "../x/.. 1 2 3", "1_upstairs/4 1 250 0"]  # fmt: skip
    (tmp_path / "train.txt").write_text("\n".join(rows))
    dataset = load(tmp_path)
    train = dataset.samples.ids[dataset.samples.columns["split"] == "train"].tolist()
    assert train == ["1_upstairs/0", "2_downstairs/1"]
    reasons = {r.id: r.reason for r in dataset.rejected}
    assert "there is no such file" in reasons["10_wash_hand/9"] and reasons["1_upstairs/4"] == "is listed before"
    assert all("does not begin with a path" in reasons[f"train.txt line {n}"] for n in (4, 5))


def test_sensor_tables(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("ax,ay,az,gx,gy,gz\n1,2,3,4,5,6\n")
    assert [part.shape for part in read_sensors(path)] == [(1, 3), (1, 3)], "a line of names is no step"
    for text, reason in [("1,2,3\n", "has 3 columns; six are needed"), ("1,2,x\n3,4,5\n", "not a"), ("", "is empty")]:
        path.write_text(text)
        with pytest.raises(DataError, match=reason):
            read_sensors(path)


def test_without_the_data_it_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    assert not UESTC.available()
    with pytest.raises(
        DataError, match=r"Ask for it at https://ivipclab.github.io.* holds train.txt, val.txt, test.txt"
    ):
        UESTC().load()


class _Grey(ENCODERS.get("identity")):
    """The mean of a film."""

    kind = "video"

    def encode(self, values):
        return super().encode([np.array([np.mean(value)], np.float32) for value in values])
