"""furniture: read from catalogues that the tests write, and, where it is on this machine, the package itself."""

import io
from collections import defaultdict
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image as Pillow

from polymnia.data.catalogues import mesh_points, pieces, prepare, properties, read_prepared
from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.data.sources.furniture import base, groups, label_of
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DataError, SettingsError

Furniture = SOURCES.get("furniture")
there = pytest.mark.furniture


def box(width: float, height: float, depth: float) -> bytes:
    """Return the OBJ of a box whose corner is at 10, 20, 30."""
    corners = [(10 + width * x, 20 + height * y, 30 + depth * z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    faces = ["1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4"]
    return "\n".join(["v {} {} {}".format(*c) for c in corners] + [f"f {f}" for f in faces]).encode()


def picture() -> bytes:
    out = io.BytesIO()
    Pillow.new("RGBA", (8, 8), (200, 0, 0, 255)).save(out, "PNG")
    return out.getvalue()


PIECES = [  # file name, English, French, creator, mesh
    ("chair1", "Chair", "Chaise", "Ann", box(1, 2, 1)),
    ("chair2", "Chair", "Chaise", "Ann", box(1, 2, 1.1)),
    ("stuhl", "Kitchen chair", "Chaise de cuisine", "Bob", box(1, 1.8, 1)),
    ("table", "Table", "Table", "Ann", box(3, 1, 2)),
    ("table_big", "Big table", "Grande table", "Ann", box(6, 1, 2)),
    ("desk", "Desk", "Bureau \\u00e0 tiroirs", "Cid", box(3, 1.2, 1)),
    ("fork", "Fork", "Fourchette", "Cid", box(1, 9, 1)),
    ("flat", "Lamp", "Lampe", "Cid", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"),
    ("gone", "Lamp", "Lampe", "Cid", None),
]


@pytest.fixture
def folder(tmp_path):
    """Return a folder as `get` leaves it: two catalogues, prepared."""
    for name, chosen in (("First", PIECES[:5]), ("Second", PIECES[5:])):
        with ZipFile(tmp_path / f"{name}.sh3f", "w") as catalogue:
            english, french = ["# a catalogue", "id=Test", "name=Not a piece"], []
            for number, (file, name_en, name_fr, creator, mesh) in enumerate(chosen, start=1):
                said = {"name": name_en, "model": f"/a/{file}/{file}.obj", "icon": f"/a/{file}.png", "creator": creator}
                english += [f"{key}#{number}={value}" for key, value in said.items()]
                french += [f"name#{number}={name_fr}"]
                catalogue.writestr(f"a/{file}.png", picture())
                if mesh is not None:
                    catalogue.writestr(f"a/{file}/{file}.obj", mesh)
            catalogue.writestr("PluginFurnitureCatalog.properties", "\n".join(english))
            catalogue.writestr("PluginFurnitureCatalog_fr.properties", "\n".join(french))
    prepare(tmp_path, tmp_path / "prepared")
    return tmp_path


def load(folder, **settings):
    return Furniture(Furniture.Settings(path=str(folder), **{"min_per_class": 1, **settings})).load()


def test_names_say_the_class_and_the_others_are_left_out(folder):
    dataset = load(folder)
    samples = dataset.samples
    assert dataset.class_names == ("chair", "table") and samples.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert samples.ids.tolist()[0] == "chair1@First-0001" and "fork" not in "".join(samples.ids.tolist())
    assert dataset.kinds == {"image": "image", "points": "point-cloud"}, "no text, unless it is asked for"
    assert samples.columns["catalogue"].tolist() == ["First"] * 5 + ["Second"]


def test_what_cannot_be_read_is_set_aside(folder):
    flat, gone = load(folder).rejected
    assert flat.id == "flat@Second-0003" and "has no surface" in flat.reason
    assert gone.id == "gone@Second-0004" and "There is no item" in gone.reason


def test_near_duplicates_are_one_group(folder):
    group = load(folder).samples.columns["group"].tolist()
    assert group[0] == group[1] and group[3] == group[4], "same creator, and a number or a size apart"
    assert len(set(group)) == 4, "another creator's chair is another chair"


def test_points_are_the_surface_centred_scaled_and_always_the_same(folder):
    samples = load(folder).samples
    points = MODALITIES.get("point-cloud")().read(samples[3].values["points"])
    assert points.shape == (1024, 3) and points.dtype == np.float32
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-5)
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(1)
    extent = points.max(0) - points.min(0)
    np.testing.assert_allclose(extent / extent[1], [3, 1, 2], rtol=0.02)
    np.testing.assert_array_equal(mesh_points(box(3, 1, 2)), points)
    assert MODALITIES.get("image")().read(samples[3].values["image"]).shape == (8, 8, 3)


def test_a_catalogues_rotation_is_applied():
    upright, lying = (mesh_points(box(1, 2, 3), rotation) for rotation in ("", "1 0 0 0 0 1 0 -1 0"))
    np.testing.assert_allclose(lying, upright[:, [0, 2, 1]] * [1, 1, -1], atol=1e-6)


def test_text_is_the_name_in_the_language_asked_for(folder):
    samples = load(folder, modalities=("points", "text")).samples
    assert samples[5].values["text"] == "Bureau à tiroirs"
    assert load(folder, modalities=("text",), name_language="en").samples[5].values["text"] == "Desk"
    with pytest.raises(SettingsError, match="no such language: 'xx'"):
        load(folder, modalities=("text",), name_language="xx")


def test_java_escapes():
    assert list(properties(b"id=x\n#c\nname#3=a\\:b \\u20ac\n")) == [("name", 3, "a:b €")]


@pytest.mark.parametrize(
    ("name", "label"),
    [("Table with tablecloth", "table"), ("Table tennis bat", ""), ("Glass table", "table"), ("Glasses", ""),
     ("Bar chair", "chair"), ("Sofa 2 seats", "sofa"), ("Armchair ottoman", "bench or stool"), ("Seat Leon", ""),
     ("Glass door cabinet", "cabinet"), ("Plant box", ""), ("Futon couch", "sofa")],
)  # fmt: skip
def test_the_last_telling_word_decides(name, label):
    assert label_of(name) == label


def test_bases():
    assert base("window_2x4_large") == base("Window 3 panes") == "window" and base("308") == "308"


def test_wrong_settings(folder, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match="no such modality: 'icon'"):
        load(folder, modalities=("icon",))
    with pytest.raises(DataError, match=r"no class of .* has 9 samples"):
        load(folder, min_per_class=9)
    with pytest.raises(DataError, match=r"holds no furniture.json. Make it with: polymnia data get furniture --into"):
        load(tmp_path / "nowhere")
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))
    assert not Furniture.available()
    with pytest.raises(DataError, match="Get it with: polymnia data get furniture; or give path=FOLDER"):
        Furniture().load()


def test_damaged_catalogues(tmp_path):
    with pytest.raises(DataError, match="holds no catalogue"):
        prepare(tmp_path, tmp_path / "prepared")
    (tmp_path / "A.sh3f").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"A.sh3f is not a readable catalogue"):
        prepare(tmp_path, tmp_path / "prepared")
    assert not (tmp_path / "prepared").exists(), "whole, or not at all"
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "furniture.json").write_text("[{}]")
    with pytest.raises(DataError, match="get the data again"):
        read_prepared(tmp_path / "prepared")


def test_a_piece_without_an_english_name_is_none(tmp_path):
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", "model#1=/a.obj\nname#2=Bed\n")
        archive.writestr("PluginFurnitureCatalog_de.properties", "name#1=Bett\nname#2=Bett\nname#9=Bett\n")
    with ZipFile(tmp_path / "a.zip") as archive:
        assert pieces(archive) == {2: {"names": {"en": "Bed", "de": "Bett"}, "name": "Bed"}}


@there
def test_the_package_holds_what_the_card_says():
    dataset = Furniture().load()
    samples = dataset.samples
    sizes = np.bincount(samples.targets.numpy())
    assert (len(samples), len(dataset.class_names), sizes.min(), sizes.max()) == (381, 12, 16, 58)
    assert len(set(samples.columns["group"].tolist())) == 292 and not dataset.rejected
    root = samples.values["points"][0].parents[1]
    assert len(read_prepared(root)) == 820
    assert len(groups(read_prepared(root))) == 820


@there
def test_a_stream_over_the_package(cut_by):
    stream = cut_by(Furniture(), "class-incremental", stages=4)
    sides = defaultdict(set)
    for stage in stream:
        for side in ("train", "valid", "test"):
            samples = getattr(stage, side)
            assert set(samples.targets.tolist()) == set(stage.classes), "every class is on every side"
            for family in samples.columns["group"].tolist():
                sides[family].add(side)
    assert all(len(found) == 1 for found in sides.values())
    few = ENCODERS.get("shape-descriptors")()
    tokens = encode_stream(stream, {"points": few, "image": _Mean()})
    assert tokens[0].widths == {"points": few.width, "image": 3} and not [r for r in tokens.rejected if r.broken]


class _Mean(ENCODERS.get("identity")):
    """The mean colour of a picture."""

    def encode(self, values):
        return super().encode([np.asarray(value, dtype=np.float32).reshape(-1, 3).mean(0) for value in values])
