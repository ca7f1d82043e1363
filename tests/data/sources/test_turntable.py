"""turntable: films of catalogues that the tests write, and, where it is on this machine, of the package's meshes."""

import json
from collections import Counter
from zipfile import ZipFile

import numpy as np
import pytest

from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.data.sources.turntable import QUESTIONS
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DataError, SettingsError

Turntable = SOURCES.get("turntable")


def box(width, height, depth):
    corners = [(width * x, height * y, depth * z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    faces = ["1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4"]
    return "\n".join(["v {} {} {}".format(*c) for c in corners] + [f"f {f}" for f in faces]).encode()


PIECES = [  # file name, English name, category, creator, mesh
    ("chair1", "Chair", "Living room", "Ann", box(1, 2, 1)),
    ("chair2", "Chair", "Living room", "Ann", box(1, 2, 1.1)),
    ("sink", "Kitchen SINK (small)", "Kitchen", "Bob", box(3, 1, 2)),
    ("cube", "Desk", "Office", "Bob", box(1, 1, 1)),
    ("car", "Car", "Vehicles", "Bob", box(4, 1, 2)),
    ("gone", "Lamp", "Lights", "Cid", None),
    *((f"lamp{i}", "Lamp", "Lights", f"Maker {i}", box(1, 3 + i, 1)) for i in range(4)),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with a catalogue, in a home of its own."""
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))
    with ZipFile(tmp_path / "Small.sh3f", "w") as catalogue:
        lines = []
        for number, (file, name, category, creator, mesh) in enumerate(PIECES, start=1):
            said = {"name": name, "category": category, "model": f"/a/{file}.obj", "icon": "/a.png", "creator": creator}
            lines += [f"{key}#{number}={value}" for key, value in said.items()]
            if mesh is not None:
                catalogue.writestr(f"a/{file}.obj", mesh)
        catalogue.writestr("PluginFurnitureCatalog.properties", "\n".join(lines))
    return tmp_path


def load(folder, **settings):
    return Turntable(Turntable.Settings(**{"path": str(folder), "views": 3, "size": 16, **settings})).load()


def test_each_model_has_a_caption_and_questions_with_an_answer(folder):
    samples = load(folder).samples
    said = {str(name): (c["task"], c["prompt"], c["answer"]) for name, c in ((s.id, s.columns) for s in samples)}
    assert said["chair1@Small-0001#caption"] == ("captioning", "describe the video.", "chair")
    assert said["sink@Small-0003#caption"][2] == "kitchen sink small"
    assert said["chair1@Small-0001#kind"] == ("answering", QUESTIONS["kind"], "chair")
    assert said["sink@Small-0003#room"] == ("answering", "what kind of room is it for?", "kitchen")
    assert said["chair1@Small-0001#tall"][2] == "yes" and said["car@Small-0005#tall"][2] == "no"
    assert "cube@Small-0004#tall" not in said, "as tall as wide: nothing to ask"
    assert "car@Small-0005#room" not in said, "no room"
    assert "sink@Small-0003#kind" not in said, "no class of furniture"
    assert all(json.loads(s.columns["references"]) == [s.columns["answer"]] for s in samples)


def test_near_duplicates_and_all_that_is_asked_about_a_model_are_one_group(folder):
    samples = load(folder).samples
    group = dict(zip(samples.ids.tolist(), samples.columns["group"].tolist(), strict=True))
    assert group["chair1@Small-0001#caption"] == group["chair2@Small-0002#tall"]
    assert len(set(group.values())) == 8


def test_videos_are_rendered_once(folder):
    dataset = load(folder)
    assert dataset.kinds == {"video": "video"} and dataset.class_names == (
        "Kitchen", "Lights", "Living room", "Office", "Vehicles",
    )  # fmt: skip
    video = MODALITIES.get("video")().read(dataset.samples[0].values["video"])
    assert video.shape == (3, 16, 16, 3) and (video == 255).all(-1).any() and (video < 255).any()
    films = next((folder / "home" / "data" / "turntable").glob("3x16-*"))
    before = (films / "frames.npy").stat().st_mtime_ns
    assert np.array_equal(load(folder).samples[0].values["video"], video)
    assert (films / "frames.npy").stat().st_mtime_ns == before
    load(folder, elevation=45.0)
    assert len(list(films.parent.glob("3x16-*"))) == 2, "seen from higher, it is another film"


def test_what_cannot_be_read_is_set_aside(folder):
    (gone,) = load(folder).rejected
    assert gone.id == "gone@Small-0006" and "There is no item" in gone.reason


def test_tasks_and_questions_can_be_chosen(folder):
    assert set(load(folder, tasks=("captioning",)).samples.columns["task"].tolist()) == {"captioning"}
    tall = load(folder, tasks=("answering",), questions=("tall",)).samples
    assert Counter(tall.columns["answer"].tolist()) == {"yes": 6, "no": 2}
    few, fewer = ({str(name).split("#")[0] for name in load(folder, samples=n).samples.ids} for n in (4, 2))
    assert len(few) == 4 and len(fewer) == 2 and fewer < few


def test_a_stream_of_two_tasks_is_encoded(folder, cut_by):
    wanted = Turntable.Settings(path=str(folder), views=3, size=16)
    stream = cut_by(Turntable(wanted), "tasks", order=("answering video", "captioning video"), test=0.3)
    assert [stage.task for stage in stream] == ["answering", "captioning"]
    sides = [{str(g) for g in getattr(stage, side).columns["group"]} for side in ("train", "test") for stage in stream]
    assert not (sides[0] | sides[1]) & (sides[2] | sides[3]), "a model is on one side in both tasks"
    encoded = encode_stream(stream, {"video": _Mean()}, pool=False)
    assert encoded[0].widths == {"video": 3} and int(encoded[0].train.values["video"].length.max()) == 3


class _Mean(ENCODERS.get("identity")):
    """The mean colour of each frame."""

    def encode(self, values):
        return super().encode([np.asarray(value, dtype=np.float32).mean((1, 2)) for value in values])


def test_wrong_settings(folder, tmp_path):
    with pytest.raises(SettingsError, match=r"no such question: 'tal'. Did you mean 'tall'"):
        load(folder, questions=("tal",))
    with pytest.raises(SettingsError, match="no such task: 'classification'"):
        load(folder, tasks=("classification",))
    with pytest.raises(SettingsError, match="views 0, size 16"):
        load(folder, views=0)
    with pytest.raises(SettingsError, match="samples: 0 is given"):
        load(folder, samples=0)
    with pytest.raises(DataError, match=r"no model of .* has an answer to what is asked"):
        load(folder, tasks=("answering",), questions=("room",), path=str(_vehicles(tmp_path / "v")))
    with pytest.raises(DataError, match=r"holds no catalogue of furniture \(.sh3f\). Get them with: polymnia data get"):
        load(tmp_path / "home")
    (folder / "Broken.sh3f").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"Broken.sh3f is not a readable catalogue"):
        load(folder)
    assert not Turntable.available()
    with pytest.raises(DataError, match=r"needs the furniture's meshes, and they are not here. Get them with"):
        Turntable().load()


def _vehicles(folder):
    folder.mkdir()
    with ZipFile(folder / "V.sh3f", "w") as catalogue:
        catalogue.writestr("a.obj", box(4, 1, 2))
        lines = ["name#1=Car", "category#1=Vehicles", "model#1=/a.obj", "creator#1=Bob"]
        catalogue.writestr("PluginFurnitureCatalog.properties", "\n".join(lines))
    return folder


@pytest.mark.furniture
def test_the_packages_meshes_can_be_seen():
    """Some of them, through the renderer; the whole takes minutes."""
    from polymnia.data.catalogues import pieces
    from polymnia.data.fetch import data_folder
    from polymnia.data.rendering import read_mesh, turntable
    from polymnia.data.sources.furniture import INSIDE

    with ZipFile(data_folder("furniture") / INSIDE / "KatorLegaz.sh3f") as catalogue:
        for _, piece in sorted(pieces(catalogue).items())[::30]:
            mesh = read_mesh(piece["model"][1:], catalogue.read).turned(piece.get("modelRotation", ""))
            stated = float(piece["height"]) / float(piece["width"])
            assert mesh.size[1] / mesh.size[0] == pytest.approx(stated, rel=0.02), piece["names"]["en"]
            frames = turntable(mesh, views=2, size=48)
            assert (frames != 255).any(-1).mean((1, 2)).min() > 0.005
