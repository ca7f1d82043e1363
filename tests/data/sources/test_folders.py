import numpy as np
import pytest
import soundfile
from PIL import Image as Pillow

from polymnia.data.scenario import SCENARIOS, cut
from polymnia.data.sources.folders import Folders
from polymnia.errors import DataError


def load(path):
    return Folders(Folders.Settings(path=str(path))).load()


def picture(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("RGB", (8, 8), (shade, 0, 0)).save(path)


def test_a_folder_is_a_class_and_files_of_one_name_are_one_sample(tmp_path):
    picture(tmp_path / "cat/01.png")
    soundfile.write(tmp_path / "cat/01.wav", np.sin(np.arange(1600)), 16_000)
    picture(tmp_path / "cat/more/02.PNG")
    picture(tmp_path / "dog/01.jpg")
    (tmp_path / "dog/01.txt").write_text("barks")
    found = load(tmp_path)
    assert found.class_names == ("cat", "dog") and not found.rejected
    assert found.samples.ids.tolist() == ["cat/01", "cat/more/02", "dog/01"]
    assert {m: p.tolist() for m, p in found.samples.present.items()} == {
        "image": [True, True, True], "audio": [True, False, False], "text": [False, False, True],
    }  # fmt: skip
    assert "split" not in found.samples.columns or set(found.samples.columns["split"]) == {""}


def test_folders_around_classes_are_splits(tmp_path):
    for split in ("train", "val", "test"):
        for label in ("cat", "dog"):
            for number in range(2):
                picture(tmp_path / split / label / f"{number}.png", shade=number)
    found = load(tmp_path)
    assert found.samples.columns["split"].tolist() == ["test"] * 4 + ["train"] * 4 + ["valid"] * 4
    stream = cut(Folders(Folders.Settings(path=str(tmp_path))), SCENARIOS.get("single")(seed=0))
    assert [len(part) for part in (stream[0].train, stream[0].valid, stream[0].test)] == [4, 4, 4]


def test_what_cannot_be_used_is_set_aside_with_its_reason(tmp_path):
    picture(tmp_path / "cat/01.png")
    picture(tmp_path / "cat/01.jpg")
    (tmp_path / "cat/points.npy").write_bytes(b"x")
    (tmp_path / "cat/notes.odt").write_bytes(b"x")
    (tmp_path / "cat/.hidden").write_bytes(b"x")
    outside = tmp_path.parent / "outside.png"
    picture(outside)
    (tmp_path / "cat/link.png").symlink_to(outside)
    found = load(tmp_path)
    assert found.samples.ids.tolist() == ["cat/01"]
    why = {r.id: r.reason for r in found.rejected}
    assert set(why) == {"cat/01.png", "cat/points.npy", "cat/notes.odt", "cat/link"}
    assert "cat/01.jpg is the image of the same name already" in why["cat/01.png"]
    assert "a manifest can say which" in why["cat/points.npy"] and "'.odt' is not known" in why["cat/notes.odt"]
    assert "lies outside" in why["cat/link"]


def test_a_folder_without_classes_is_refused(tmp_path):
    picture(tmp_path / "01.png")
    with pytest.raises(DataError, match=r"has no folders of classes in it: FOLDER/cat/01.png"):
        load(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        load(tmp_path / "lost")
