"""coin: instructions in LLaVA's form, answers in the benchmark's, pictures by their paths."""

import json

import pytest

from polymnia.data.source import SOURCES
from polymnia.errors import DataError, SettingsError
from polymnia.training.build import build_stream

CoIN = SOURCES.get("coin")
ASK = "\nAnswer the question using a single word or phrase."


OPTIONS = (
    "Which of these is a state?\nA. Rome\nB. Ohio\nAnswer with the option's letter from the given choices directly."
)
NAME = "What is the object in the image?" + ASK
WHERE = "Please provide the bounding box coordinate of the region this sentence describes: Left  man."


def said(n, image, *turns):
    """Return a training row; no image where it is empty."""
    turns = [{"from": ("human", "gpt")[at % 2], "value": text} for at, text in enumerate(turns)]
    return {"id": n, "conversations": turns} | ({"image": image} if image else {})


def asked(n, image, text, **answer):
    """Return a row of a test."""
    return {"question_id": n, "image": image, "text": text, **answer}


@pytest.fixture
def folder(tmp_path, write_json, write_picture):
    """Return a folder of four sets: some three items to train and two to test by, of each."""

    def write(which, train, test, *, name="test.json", instructions="Instructions_Original"):
        for file, rows in (("train.json", train), (name, test)):
            write_json(tmp_path / instructions / which / file, rows)
            for grey, row in enumerate(rows):
                if row.get("image"):
                    write_picture(tmp_path / "cl_dataset" / row["image"], grey=10 * grey)

    school = [said(str(n), f"./ScienceQA/train/{n}.png", f"<image>\n{OPTIONS}", "B") for n in range(3)]
    tests = [asked(n, f"./ScienceQA/test/{n}.png", OPTIONS, answer=a) for n, a in ((1, "A"), (2, "Ohio"))]
    write("ScienceQA", [*school, said("9", "", OPTIONS, "B")], tests)

    brand, year = f"<image>\nWhat brand?{ASK}", f"Which year?{ASK}"
    train = [
        said(7, "TextVQA/train_images/a.png", brand, "Nokia", year, "1999"),
        said(7, "TextVQA/train_images/b.png", "What is written?\n<image>", "STOP!"),
        said(8, "TextVQA/train_images/c.png", "<image>\nWhat?", "it", "why"),
    ]
    tests = [asked(n, f"TextVQA/train_images/{n}.png", "What?", answer="x") for n in (34602, 5)]
    write("TextVQA", train, tests, name="val.json", instructions="Instructions_slim")
    ten = {"question_id": 34602, "question": "what?", "answers": ["dakota digital"] * 7 + ["Dakota"] * 3}
    write_json(tmp_path / "cl_dataset" / "TextVQA" / "TextVQA_0.5.1_val.json", {"data": [ten], "dataset_type": "val"})

    train = [said(f"i{n}", f"ImageNet/train/{n}.JPEG", f"<image>\n{NAME}", "tench, Tinca tinca") for n in range(3)]
    write("ImageNet", train, [asked(n, f"ImageNet/val/{n}.JPEG", NAME, answer="tench, Tinca tinca") for n in range(2)])

    picture, box = "COCO2014/train2014/{}.jpg", "[0.1, 0.2, 0.5, 0.75]"
    train = [said(n, picture.format(n), f"<image>\n{WHERE}", "[0.10,0.2,0.5,0.75]") for n in range(3)]
    tests = [asked(n, picture.format(n), WHERE, answer_bbox=box, size=[640, 480]) for n in (2, 3)]
    write("Grounding", train, tests)
    return tmp_path


def load(folder, which, **settings):
    return CoIN(CoIN.Settings(path=str(folder), which=which, **settings)).load()


def test_instructions_answers_and_pictures(folder):
    dataset = load(folder, "TextVQA")
    samples = dataset.samples
    assert samples.ids.tolist() == ["test/34602", "test/5", "train/7", "train/7-2", "train/7-3"]
    first = samples[2]
    assert first.columns["prompt"] == "what brand? answer the question using a single word or phrase."
    assert first.columns["answer"] == "nokia" and samples[3].columns["answer"] == "1999"
    assert first.values["image"] == folder / "cl_dataset" / "TextVQA" / "train_images" / "a.png"
    assert samples[4].columns["prompt"] == "what is written?" and samples[4].columns["answer"] == "stop"
    assert [s.columns["split"] for s in samples] == ["test", "test", "train", "train", "train"]
    assert set(samples.columns["kind"]) == {"TextVQA"} and set(samples.columns["judged"]) == {""}
    assert first.columns["group"] == samples[3].columns["group"] == "TextVQA/TextVQA/train_images/a.png"
    assert [(r.id, r.reason) for r in dataset.rejected] == [
        ("train.json entry 3", "has a conversation in which human and gpt do not take turns")
    ]


def test_texts_in_pictures_are_tested_against_ten_answers(folder):
    samples = load(folder, "TextVQA").samples
    assert json.loads(samples[0].columns["references"]) == ["dakota digital"] * 7 + ["dakota"] * 3
    assert samples[0].columns["answer"] == "dakota digital" and json.loads(samples[1].columns["references"]) == ["x"]


def test_a_letter_and_its_option_are_both_right(folder):
    dataset = load(folder, "ScienceQA")
    right = {s.id: json.loads(s.columns["references"]) for s in dataset.samples}
    assert right["train/0"] == ["b", "ohio", "b ohio"]
    assert right["test/1"] == ["a", "rome", "a rome"] and right["test/2"] == ["ohio", "b", "b ohio"]
    assert dataset.samples[2].columns["answer"] == "b"
    assert [(r.id, r.reason, r.broken) for r in dataset.rejected] == [("train/9", "has no picture", False)]


def test_each_name_of_a_thing_is_right_and_judged_by_being_there(folder):
    samples = load(folder, "ImageNet").samples
    assert json.loads(samples[0].columns["references"]) == ["tench, tinca tinca", "tench", "tinca tinca"]
    assert samples[4].columns["answer"] == "tench, tinca tinca" and set(samples.columns["judged"]) == {"contained"}


def test_a_box_is_written_as_it_is_and_its_picture_is_on_one_side(folder):
    dataset = load(folder, "Grounding")
    assert dataset.samples.ids.tolist() == ["test/2", "test/3", "train/0", "train/1"]
    assert (
        dataset.samples[0].columns["answer"] == "[0.1, 0.2, 0.5, 0.75]"
        and dataset.samples[2].columns["judged"] == "box"
    )
    assert dataset.samples[2].columns["answer"] == "[0.10,0.2,0.5,0.75]"
    (left,) = dataset.rejected
    assert left.id == "train/2" and "is also in test" in left.reason and not left.broken


def test_the_sets_are_stages_of_one_stream(folder):
    order = ["ScienceQA", "TextVQA", "ImageNet", "Grounding"]
    sources = [{"name": "coin", "called": which, "which": which, "path": str(folder)} for which in order]
    stream = build_stream(
        {"name": "together", "scenario": "tasks", "by": "kind", "sources": sources,
         "order": [f"answering image {which}" for which in order]}, seed=0,
    )  # fmt: skip
    assert [stage.name for stage in stream] == [f"{n + 1:02d}-answering-image-{which}" for n, which in enumerate(order)]
    assert [(len(s.train), len(s.valid), len(s.test)) for s in stream] == [(3, 0, 2), (3, 0, 2), (3, 0, 2), (2, 0, 2)]


def test_pictures_elsewhere_and_a_share_that_validates(folder):
    (folder / "cl_dataset").rename(folder / "pictures")
    shares = [
        load(folder, "ImageNet", media="pictures", held_out=share).samples.columns["split"].tolist()
        for share in (0, 0.4, 0.95)
    ]
    assert [splits.count("test") for splits in shares] == [2, 2, 2]
    none, some, most = (splits.count("valid") for splits in shares)
    assert none == 0 < most and some <= most
    with pytest.raises(DataError, match="there is no such file"):
        load(folder, "ImageNet")
    with pytest.raises(SettingsError, match=r"stream\.held_out: 1 is given"):
        load(folder, "ImageNet", held_out=1)


@pytest.mark.parametrize("image", ["../secret.png", "/etc/passwd.png", "a/../../b.png", "..\\b.png"])
def test_no_path_leads_out_of_the_folder(folder, image):
    path = folder / "Instructions_Original" / "ImageNet" / "train.json"
    path.write_text(path.read_text().replace("ImageNet/train/0.JPEG", image.replace("\\", "\\\\")))
    dataset = load(folder, "ImageNet")
    assert len(dataset.samples) == 4 and "is no path in the folder of pictures" in dataset.rejected[0].reason


def test_what_is_not_there_is_named(folder):
    with pytest.raises(DataError, match=r"coin: .* lacks Instructions_Original/GQA/test\.json \(or .*GQA/val\.json"):
        load(folder, "GQA")
    with pytest.raises(DataError, match=r"lacks mine/TextVQA/test\.json"):
        load(folder, "TextVQA", instructions="mine")
    (folder / "Instructions_Original" / "ImageNet" / "test.json").write_text('[{"question_id": 1, "image": "x"}, 3]')
    reasons = [left.reason for left in load(folder, "ImageNet").rejected]
    assert reasons == ["has no text that asks", "is a JSON int; an object is needed"]
