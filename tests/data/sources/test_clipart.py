"""clipart: read from folders as the packages lay them out, and, where they are on this machine, the packages."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from PIL import Image as Pillow

from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.data.sources.clipart import write_index
from polymnia.errors import DataError, SettingsError

Clipart = SOURCES.get("clipart")
there = pytest.mark.clipart

DRAWINGS = [  # file name, title, keywords, author
    ("animals/birds/penguin_ann_01", "Penguin", ["bird", "hash", ""], "Ann"),
    ("animals/birds/penguin_ann_02", "Penguin 2", ["bird"], "Ann"),
    ("animals/mammals/cow_bob_01", "Cow", [], "Bob"),
    ("animals/mammals/bull_bob", "COW 3", [], "Bob"),
    ("animals/unsigned", "Ann", ["animals", "ann", "sea_lion"], "Ann"),
    ("food/pear", "Clipart by Nicu - pear", ["fruit"], "Nicu"),
    ("food/pear_02", "Clipart by Nicu - pear", ["fruit"], "Nicu"),
    ("food/cake", "Clipart by Nicu - pear", ["dessert", "food"], "Nicu"),
    *((f"shapes/stars/star_{n}pt", "gramastar", ["stars", "shapes"], "Div") for n in range(4)),
    ("unsorted/plain", "", ["unsorted"], ""),
    ("unsorted/thing", "", [], ""),
]
SVG = """<?xml version="1.0"?>
<!DOCTYPE svg [<!ENTITY ns "http://web.resource.org/cc/">]>
<svg xmlns:dc="http://purl.org/dc/elements/1.1/" width="8" height="8"><metadata>
<rdf:RDF xmlns:cc="&ns;"><cc:Work rdf:about=""><dc:title>{title}</dc:title><dc:subject><rdf:Bag>{keywords}</rdf:Bag>
</dc:subject><dc:publisher><cc:Agent><dc:title>Library</dc:title></cc:Agent></dc:publisher>
<dc:creator><cc:Agent><dc:title>{author}</dc:title></cc:Agent></dc:creator></cc:Work></rdf:RDF></metadata>
<title>Not this one</title></svg>"""


def put(root: Path, name: str, title: str, keywords: list[str], author: str, grey: int) -> None:
    picture = root / "openclipart-png/usr/share/openclipart/png" / f"{name}.png"
    drawing = root / "openclipart-svg/usr/share/openclipart/svg" / f"{name}.svg"
    for path in (picture, drawing):
        path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("RGBA", (8, 6), (grey, 0, 0, 255)).save(picture)
    entries = "".join(f"<rdf:li>{word}</rdf:li>" for word in keywords)
    drawing.write_text(SVG.format(title=title, keywords=entries, author=author), encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """Return a folder with one package beside the other, as `get` leaves them, before the titles are read."""
    for grey, (name, title, keywords, author) in enumerate(DRAWINGS):
        put(tmp_path, name, title, keywords, author, grey)
    pictures = tmp_path / "openclipart-png/usr/share/openclipart/png"
    (pictures / "food/penguin_ann_01.png").symlink_to("../animals/birds/penguin_ann_01.png")
    return tmp_path


def load(folder, **settings):
    return Clipart(Clipart.Settings(path=str(folder), **{"max_per_title": 3, **settings})).load()


def texts(dataset) -> dict[str, str | None]:
    return dict(zip(dataset.samples.ids.tolist(), dataset.samples.values["text"].tolist(), strict=True))


def test_a_picture_is_a_sample_and_a_link_is_none(folder):
    dataset = load(folder)
    samples = dataset.samples
    assert sorted(samples.ids.tolist()) == sorted(name for name, *_ in DRAWINGS)
    assert dataset.class_names == ("animals", "food", "shapes", "unsorted")
    assert dataset.kinds == {"image": "image", "text": "text"} and not dataset.rejected
    at = samples.ids.tolist().index("food/cake")
    assert MODALITIES.get("image")().read(samples.values["image"][at])[0, 0].tolist() == [7, 0, 0]
    assert samples.columns["author"][at] == "Nicu" and samples.columns["folder"][at] == "food"


def test_a_caption_says_what_is_in_the_picture(folder):
    said = texts(load(folder))
    assert said["animals/birds/penguin_ann_01"] == "Penguin"
    assert said["animals/unsigned"] == "sea lion", "an author is no caption, nor is the folder"
    assert said["food/pear"] == said["food/pear_02"] == "pear", "the file's own name, signed"
    assert said["food/cake"] == "dessert", "another picture's name is not this one's"
    assert said["shapes/stars/star_2pt"] is None, "neither the collection's name nor its keywords tell it apart"
    assert said["unsorted/plain"] is None and said["unsorted/thing"] is None
    source = dict(zip((s := load(folder).samples).ids.tolist(), s.columns["caption"].tolist(), strict=True))
    assert (source["food/pear"], source["food/cake"], source["unsorted/plain"]) == ("title", "keywords", "none")


def test_how_common_a_caption_may_be_is_set(folder):
    assert texts(load(folder, max_per_title=4))["shapes/stars/star_2pt"] == "gramastar"
    assert texts(load(folder, max_per_title=1))["food/pear"] is None
    assert texts(load(folder, keywords=False))["food/cake"] is None


def test_only_captioned_pictures(folder):
    assert set(load(folder, captioned=True).samples.ids) == {name for name, text in texts(load(folder)).items() if text}
    alone = load(folder, modalities=("text",)).samples
    assert alone.modalities == ("text",) and bool(alone.present["text"].all())


def test_near_duplicates_are_one_group(folder):
    group = dict(zip((s := load(folder).samples).ids.tolist(), s.columns["group"].tolist(), strict=True))
    assert group["animals/birds/penguin_ann_01"] == group["animals/birds/penguin_ann_02"]
    assert group["animals/mammals/cow_bob_01"] == group["animals/mammals/bull_bob"], "one caption but for its number"
    assert len({group[f"shapes/stars/star_{n}pt"] for n in range(4)}) == 1
    assert group["food/pear"] == group["food/pear_02"] != group["food/cake"]
    assert group["unsorted/plain"] != group["unsorted/thing"] and len(set(group.values())) == 8


def test_large_classes_and_groups_are_cut_to_the_same_pictures(folder):
    few, again = (load(folder, max_per_group=1).samples for _ in range(2))
    assert few.ids.tolist() == again.ids.tolist() and len(few) == len(set(few.columns["group"].tolist())) == 8
    assert Counter(load(folder, max_per_class=2).samples.columns["label"].tolist()) == {
        "animals": 2, "food": 2, "shapes": 2, "unsorted": 2,
    }  # fmt: skip
    assert load(folder, min_per_class=4).class_names == ("animals", "shapes")
    with pytest.raises(DataError, match=r"no class of .* has 9 pictures"):
        load(folder, min_per_class=9)


def test_the_index_says_the_same_and_is_used(folder):
    scanned = load(folder)
    write_index(folder)
    (folder / "openclipart-svg/usr/share/openclipart/svg/food/cake.svg").unlink()
    indexed = load(folder)
    assert indexed.samples.ids.tolist() == scanned.samples.ids.tolist() and texts(indexed) == texts(scanned)
    (folder / "clipart.json").write_text("[{}]", encoding="utf-8")
    with pytest.raises(DataError, match=r"clipart\.json cannot be read"):
        load(folder)


def test_a_drawing_that_cannot_be_read_is_set_aside(folder):
    drawings = folder / "openclipart-svg/usr/share/openclipart/svg"
    (drawings / "food/cake.svg").write_text("<svg><cc:Work><dc:title>A & B</dc:title></cc:Work></svg>")
    (drawings / "food/pear.svg").write_text("<svg/>")
    (drawings / "unsorted/thing.svg").unlink()
    dataset = load(folder)
    (left,) = dataset.rejected
    assert left.id == "food/cake" and "block of metadata cannot be read" in left.reason
    said = texts(dataset)
    assert "food/cake" not in said and said["food/pear"] is None and said["unsorted/thing"] is None


def test_wrong_settings(folder, tmp_path):
    with pytest.raises(SettingsError, match="no such modality: 'audio'"):
        load(folder, modalities=("audio",))
    with pytest.raises(DataError, match="is not a folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        load(tmp_path / "nothing")


def test_a_machine_without_clipart_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    assert not Clipart.available()
    with pytest.raises(DataError, match=r"polymnia data get clipart; or give path=FOLDER"):
        Clipart().load()


@there
def test_the_packages_hold_what_the_card_says():
    dataset = Clipart().load()
    samples = dataset.samples
    assert len(samples) == int(samples.present["image"].sum()) == 6900 and len(dataset.class_names) == 22
    assert Counter(samples.columns["caption"].tolist()) == {"none": 3695, "title": 2978, "keywords": 227}
    assert (Counter(samples.targets.tolist()).most_common()[17][1], len(set(samples.columns["group"].tolist()))) == (
        26, 2845,
    )  # fmt: skip
    captioned = Clipart(Clipart.Settings(captioned=True)).load().samples
    assert len(captioned) == 3205 and len(set(captioned.columns["group"].tolist())) == 1847
    said = dict(zip(captioned.ids.tolist(), captioned.values["text"].tolist(), strict=True))
    assert said["animals/mammals/bull_utrescu_"] == "Bull" and "shapes/stars/star_79pt39step" not in said
    assert max(Counter(text.lower() for text in said.values()).values()) <= 13
    image = MODALITIES.get("image")()
    assert all(image.read(picture).shape[2] == 3 for picture in samples.values["image"][::350])
    assert not dataset.rejected


@there
def test_pairs_over_the_packages(cut_by):
    (stage,) = cut_by(Clipart(), "pairing")
    assert len(stage.train) + len(stage.valid) + len(stage.test) == 3205 and len(stage.test) > 500 < len(stage.train)
    sides = defaultdict(set)
    for side in ("train", "valid", "test"):
        samples = getattr(stage, side)
        for group, text in zip(samples.columns["group"].tolist(), samples.values["text"].tolist(), strict=True):
            sides[group].add(side)
            sides[f"text {text.casefold()}"].add(side)
    assert all(len(found) == 1 for found in sides.values()), "no caption and no series is on two sides"
