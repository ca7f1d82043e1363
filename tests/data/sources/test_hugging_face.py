"""Folders as `datasets` writes them: the layout is written here, by pyarrow, as its format says."""

import io
import json

import pyarrow as pa
import pytest
from PIL import Image as Pillow
from pyarrow import parquet

from polymnia.config import typed
from polymnia.data.modality import MODALITIES
from polymnia.data.sources.hugging_face import HuggingFace
from polymnia.errors import DataError

FEATURES = {
    "image": {"_type": "Image"},
    "sound": {"_type": "Audio", "sampling_rate": 16000},
    "caption": {"dtype": "string", "_type": "Value"},
    "speaker": {"dtype": "string", "_type": "Value"},
    "species": {"names": ["cat", "dog"], "_type": "ClassLabel"},
}


def load(path, **settings):
    return HuggingFace(typed(HuggingFace.Settings, {"path": str(path), **settings}, where="stream")).load()


def png(shade: int) -> bytes:
    held = io.BytesIO()
    Pillow.new("RGB", (6, 4), (shade, 0, 0)).save(held, "PNG")
    return held.getvalue()


@pytest.fixture
def table():
    media = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    rows = {
        "image": [{"bytes": png(9), "path": None}, {"bytes": png(200), "path": "b.png"}, None],
        "sound": [None, None, None],
        "caption": ["meows", "barks", "purrs"],
        "speaker": ["ann", "bo", "ann"],
        "species": [0, 1, 5],
    }
    kinds = {"image": media, "sound": media, "caption": pa.string(), "speaker": pa.string(), "species": pa.int64()}
    return pa.table(rows, schema=pa.schema(kinds))


def saved(folder, table):
    folder.mkdir(parents=True)
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as out,
    ):
        out.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))


def test_what_save_to_disk_writes(tmp_path, table):
    saved(tmp_path / "set", table)
    found = load(tmp_path / "set", columns=["speaker"])
    assert found.class_names == ("cat", "dog") and found.kinds == {"caption": "text", "image": "image"}
    assert found.samples.columns["label"].tolist() == ["cat", "dog"]
    assert found.samples.columns["speaker"].tolist() == ["ann", "bo"]
    assert [MODALITIES.get("image")().read(value).max() for value in found.samples.values["image"]] == [9, 200]
    assert [r.reason for r in found.rejected] == ["has no label (column 'species')"], "5 is no class"


def test_a_dataset_dict_states_the_splits(tmp_path, table):
    (tmp_path / "dict").mkdir()
    (tmp_path / "dict/dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation"]}))
    for split in ("train", "validation"):
        saved(tmp_path / "dict" / split, table)
    found = load(tmp_path / "dict")
    assert found.samples.columns["split"].tolist() == ["train", "train", "valid", "valid"]


def test_parquet_files_of_the_hub(tmp_path, table):
    stated = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        parquet.write_table(stated, tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    found = load(tmp_path)
    assert found.samples.columns["split"].tolist() == ["test", "test", "train", "train"]
    assert found.kinds == {"caption": "text", "image": "image"}


def test_without_stated_features_names_and_settings_tell(tmp_path):
    parquet.write_table(pa.table({"note": ["meows", "barks"], "kind": ["cat", "dog"]}), tmp_path / "all.parquet")
    found = load(tmp_path / "all.parquet", label="kind", kinds={"note": "text"})
    assert found.kinds == {"note": "text"} and found.class_names == ("cat", "dog")
    with pytest.raises(DataError, match=r"has no column 'label', and 0 of type ClassLabel; .* Its columns: note, kind"):
        load(tmp_path / "all.parquet")


def test_what_is_not_such_a_folder_is_refused(tmp_path, table):
    with pytest.raises(DataError, match="holds neither what `save_to_disk` writes"):
        load(tmp_path)
    saved(tmp_path / "set", table)
    (tmp_path / "set/state.json").write_text(json.dumps({"_data_files": [{"filename": "../../secret.arrow"}]}))
    with pytest.raises(DataError, match="which is not in its folder"):
        load(tmp_path / "set")
    (tmp_path / "set/state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (tmp_path / "set/data-00000-of-00001.arrow").write_bytes(b"\0" * 64)
    with pytest.raises(DataError, match="is not a readable file of rows"):
        load(tmp_path / "set")
