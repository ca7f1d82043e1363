"""Data handed over in Python become stages: from a manifest, a table of pandas, a data set of `datasets`."""

import datasets
import numpy as np
import pandas
import pytest
from PIL import Image as Pillow

import polymnia as pm
from polymnia.data.handed import Handed, of_stage
from polymnia.data.modality import MODALITIES
from polymnia.errors import DataError


@pytest.fixture
def frame(tmp_path):
    rows = []
    for number in range(20):
        Pillow.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
        label = ("cat", "dog")[number % 2]
        rows.append({"image": f"{number}.png", "caption": f"a {label}", "label": label, "weight": 0.5})
    return pandas.DataFrame(rows)


def pixels(samples):
    return sorted(int(MODALITIES.get("image")().read(value).max()) for value in samples.values["image"])


def test_a_table_of_pandas(frame, tmp_path):
    stage = pm.Stage.from_dataframe(frame, name="cats", folder=tmp_path, columns=["weight"], seed=1)
    assert (stage.name, stage.modalities, stage.sizes) == (
        "cats",
        ("caption", "image"),
        {"train": 14, "valid": 2, "test": 4},
    )
    every = [*pixels(stage.train), *pixels(stage.valid), *pixels(stage.test)]
    assert sorted(every) == list(range(20)) and set(stage.train.columns["weight"]) == {"0.5"}
    with pytest.raises(DataError, match="column 'weight' is neither a modality nor anything else known"):
        pm.Stage.from_dataframe(frame, name="cats", folder=tmp_path)


def test_a_manifest(frame, tmp_path):
    frame.drop(columns="weight").to_csv(tmp_path / "cats.csv", index=False)
    stage = pm.Stage.from_manifest(tmp_path / "cats.csv", test=0.5)
    assert stage.name == "cats" and len(stage.test) == 10 and stage.classes == (0, 1)


def test_a_data_set_of_datasets_as_it_is_in_memory_and_on_disk(frame, tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"image": [str(tmp_path / name) for name in frame["image"]], "label": [n % 2 for n in range(20)]}
    made = datasets.Dataset.from_dict(rows, features=features)
    stage = pm.Stage.from_datasets(made, name="cats")
    assert stage.sizes == {"train": 14, "valid": 2, "test": 4} and set(stage.test.columns["label"]) == {"cat", "dog"}
    both = datasets.DatasetDict(train=made.select(range(10)), test=made.select(range(10, 20)))
    parted = pm.Stage.from_datasets(both, name="cats", valid=0.0)
    assert pixels(parted.train) == list(range(10)) and pixels(parted.test) == list(range(10, 20))
    both.save_to_disk(tmp_path / "saved")
    read = pm.Stage.from_manifest(tmp_path / "saved", valid=0.0)
    assert pixels(read.train) == list(range(10)) and read.sizes == parted.sizes
    (tmp_path / "hub/data").mkdir(parents=True)
    for split, part in both.items():
        part.to_parquet(tmp_path / f"hub/data/{split}-00000-of-00001.parquet")
    assert pm.Stage.from_manifest(tmp_path / "hub", valid=0.0).sizes == parted.sizes


def test_a_stage_is_data_again_in_the_same_splits(frame, tmp_path):
    stage = pm.Stage.from_dataframe(frame, name="cats", folder=tmp_path, columns=["weight"])
    dataset = Handed(of_stage(stage)).load()
    assert dataset.class_names == ("cat", "dog") and dataset.kinds == {"caption": "text", "image": "image"}
    split = dict(zip(dataset.samples.ids.tolist(), dataset.samples.columns["split"].tolist(), strict=True))
    assert all(split[name] == "test" for name in stage.test.ids.tolist())
    with pytest.raises(DataError, match="nothing says what kind of signal 'smell' is"):
        renamed = {"smell": stage.train.values["image"]}
        there = {"smell": stage.train.present["image"]}
        train = type(stage.train)(stage.train.ids, renamed, there, stage.train.targets, stage.train.columns)
        none = train.subset(np.array([], dtype=np.int64))
        of_stage(pm.Stage(index=0, name="x", train=train, valid=none, test=none))
