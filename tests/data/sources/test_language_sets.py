"""What the six published sets of language tasks have in common, on folders in their layouts."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from polymnia.config import read
from polymnia.data.source import SOURCES
from polymnia.data.wording import plain
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DataError, SettingsError
from polymnia.hosts.texts import tokenised
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.training.build import build_stream

CONFIG = Path(__file__).parents[3] / "configs" / "moincl-published.yaml"
SETS = {
    "flickr30k": ("captioning", "image"),
    "okvqa": ("answering", "image"),
    "msr-vtt": ("captioning", "video"),
    "msvd-qa": ("answering", "video"),
    "audiocaps": ("captioning", "audio"),
    "clotho-aqa": ("answering", "audio"),
}
LISTS = {
    "flickr30k": ["dataset_flickr30k.json"],
    "okvqa": [f"{what}_{side}_{kind}.json" for side in ("train2014", "val2014")
              for what, kind in (("OpenEnded_mscoco", "questions"), ("mscoco", "annotations"))],
    "msr-vtt": ["train_val_videodatainfo.json", "test_videodatainfo.json"],
    "msvd-qa": ["train_qa.json", "val_qa.json", "test_qa.json", "youtube_mapping.txt"],
    "audiocaps": ["train.csv", "val.csv", "test.csv"],
    "clotho-aqa": ["clotho_aqa_train.csv", "clotho_aqa_val.csv", "clotho_aqa_test.csv"],
}  # fmt: skip
every = pytest.mark.parametrize("name", SETS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_set):
    """Return name → folder of a set that is whole."""
    return {name: write_set(name, tmp_path_factory.mktemp(name)) for name in SETS}


@pytest.fixture
def copied(whole, tmp_path):
    """Return a function that copies a whole set, for tests to break."""
    return lambda name: shutil.copytree(whole[name], tmp_path / name, copy_function=shutil.copyfile)


def load(name, folder, **settings):
    source = SOURCES.get(name)
    return source(source.Settings(path=str(folder), **settings)).load()


def changed(path, old, new):
    """Replace a piece of a list's text, which must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@every
def test_samples_are_what_language_tasks_are_made_of(name, whole):
    dataset = load(name, whole[name])
    task, modality = SETS[name]
    samples, columns = dataset.samples, dataset.samples.columns
    assert not dataset.rejected and dataset.class_names == () and dataset.kinds == {modality: modality}
    assert samples.modalities == (modality,) and set(samples.targets.tolist()) == {-1}
    assert set(columns["task"].tolist()) == {task}
    assert all(path.is_file() for path in samples.values[modality])
    for answer, references in zip(columns["answer"], columns["references"], strict=True):
        held = json.loads(references)
        assert answer in held and all(text == plain(text) for text in held)
    prompts = set(columns["prompt"].tolist())
    assert prompts == {f"describe the {modality}."} if task == "captioning" else all(p.endswith("?") for p in prompts)


@every
def test_training_has_a_sample_each_reference_and_tests_one_each_item(name, whole):
    samples = load(name, whole[name]).samples
    split, ids = samples.columns["split"], samples.ids
    assert not any("#" in str(i) for i in ids[split != "train"])
    items = {str(i).split("#")[0] for i in ids[split == "train"]}
    assert len(items) == 3 and sum(split == "test") == 2
    assert sum(split == "valid") == (0 if name == "okvqa" else 1)


@every
def test_no_file_is_on_two_sides(name, whole):
    samples = load(name, whole[name]).samples
    sides = {}
    for group, split in zip(samples.columns["group"], samples.columns["split"], strict=True):
        sides.setdefault(group, set()).add(split)
    assert all(len(names) == 1 for names in sides.values())


@every
def test_a_limit_takes_the_same_few_of_each_split(name, whole):
    few = load(name, whole[name], limit=1).samples
    items = {str(i).split("#")[0] for i in few.ids}
    assert len(items) == (2 if name == "okvqa" else 3)
    assert load(name, whole[name], limit=1).samples.ids.tolist() == few.ids.tolist()
    with pytest.raises(SettingsError, match=r"stream.limit: -1 is given; 0 \(all\) or more"):
        load(name, whole[name], limit=-1)


@every
def test_files_that_are_not_there_are_set_aside_and_counted(name, copied):
    root = copied(name)
    before = load(name, root).samples
    gone = sorted({str(path) for path in before.values[SETS[name][1]][before.columns["split"] == "train"]})[0]
    items = {str(i).split("#")[0] for i, path in zip(before.ids, before.values[SETS[name][1]], strict=True)
             if str(path) == gone}  # fmt: skip
    shutil.move(gone, root.parent / "elsewhere")
    after = load(name, root)
    assert {(r.modality, Path(r.value).stem, r.reason) for r in after.rejected} == {
        (SETS[name][1], Path(gone).stem, "there is no such file")
    }
    assert len(after.rejected) == len(items)
    assert {r.id for r in after.rejected} == items
    assert {r.broken for r in after.rejected} == {name != "audiocaps"}, "videos of AudioCaps are known to be gone"
    assert len({str(i).split("#")[0] for i in after.samples.ids}) == len({str(i).split("#")[0] for i in before.ids}) - (
        len(items)
    )


@every
def test_media_may_lie_elsewhere(name, copied, tmp_path):
    root = copied(name)
    folders = [path for path in root.iterdir() if path.is_dir()]
    (tmp_path / "far").mkdir()
    for folder in folders:
        shutil.move(folder, tmp_path / "far" / folder.name)
    with pytest.raises(DataError, match=r"no usable item \(\d+ set aside\)\. First: .*there is no such file"):
        load(name, root)
    one = tmp_path / "far" / folders[0].name if len(folders) == 1 else tmp_path / "far"
    assert len(load(name, root, media=str(one)).samples) == len(load(name, root, media="../far").samples) > 0
    with pytest.raises(DataError, match=r"stream.media: .*nowhere is not a folder"):
        load(name, root, media="nowhere")


@every
def test_a_list_that_is_not_there_is_named_with_where_it_comes_from(name, copied, monkeypatch, tmp_path):
    root = copied(name)
    for list_ in LISTS[name]:
        (root / list_).rename(tmp_path / "hidden")
        with pytest.raises(DataError, match=rf"{name}: .* lacks {list_}") as told:
            load(name, root)
        assert SOURCES.get(name).card.get in str(told.value)
        (tmp_path / "hidden").rename(root / list_)
    with pytest.raises(DataError, match=r"is not a folder. .*Then give path=FOLDER, or put it at"):
        load(name, tmp_path / "nowhere")
    (root / "annotations").mkdir()
    (root / LISTS[name][0]).rename(root / "annotations" / LISTS[name][0])
    assert len(load(name, root).samples), "lists may lie in a folder of their own"


@every
def test_it_is_found_where_data_sets_usually_lie(name, whole, monkeypatch, tmp_path):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    source = SOURCES.get(name)
    assert not source.available()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).symlink_to(whole[name])
    assert source.available() and len(source().load().samples) > 0
    assert source.card.licence and source.card.citation and source.card.homepage


@every
@pytest.mark.parametrize(
    "wrong", [b"\xff\xfe\x00bad", b"", b'{"images": [', b"[" * 100_000], ids=["utf-16", "empty", "cut", "deep"]
)
def test_a_list_that_cannot_be_read_is_an_error_that_names_it(name, wrong, copied):
    root = copied(name)
    if not LISTS[name][0].endswith(".json") and wrong.startswith((b"{", b"[")):
        wrong = b'"never closed\n'
    (root / LISTS[name][0]).write_bytes(wrong)
    with pytest.raises(DataError, match=LISTS[name][0]):
        load(name, root)


HOSTILE = {
    "flickr30k": ('"filename": "1.jpg"', '"filename": {}'),
    "okvqa": ('"image_id": 81721', '"image_id": {}'),
    "msr-vtt": ('"video_id": "video1"', '"video_id": {}'),
    "msvd-qa": ('"video_id": 2', '"video_id": {}'),
    "audiocaps": ("_a,30", "{},30"),
    "clotho-aqa": ("b.wav,Is it raining?,no", "{},Is it raining?,no"),
}
NAMES = ["../../x", "/etc/passwd", "..", "", "\\ud800", "x" * 5000]


@every
@pytest.mark.parametrize("bad", NAMES, ids=lambda bad: bad[:8] or "empty")
def test_names_that_lead_out_of_the_folder_or_are_none_are_set_aside(name, bad, copied):
    root = copied(name)
    (root.parent / "x.jpg").write_bytes(b"a secret")
    path = next(root / list_ for list_ in LISTS[name] if HOSTILE[name][0] in (root / list_).read_text())
    old, new = HOSTILE[name]
    is_json = path.suffix == ".json"
    given = f'"{bad}"' if is_json else bad.encode().decode("unicode_escape").replace("\ud800", "\x01")
    changed(path, old, new.format(given))
    dataset = load(name, root)
    assert dataset.rejected, "nothing is lost silently"
    assert all(root in path.parents for path in dataset.samples.values[SETS[name][1]])
    assert sum(dataset.samples.columns["split"] == "test") == 2, "what is whole stays"


EMPTY = {
    "flickr30k": [('"A Dog, number 1; seen (2)."', given) for given in ('" .!"', "null", "[]", '"\\u200b"')],
    "okvqa": [('"answer": "pony tail"', f'"answer": {given}') for given in ('"..."', "null", "{}", '""')],
    "msr-vtt": [('"a man cooks 1"', given) for given in ('"."', "null", "[1]", '""')],
    "msvd-qa": [('"Chew"', given) for given in ('"?!".', '"!"', "null", "true")][1:],
    "audiocaps": [('"A woman talks, 0 times as b pours"', given) for given in ("", '"  "', '"!"')],
    "clotho-aqa": [("c.wav,Is it raining?,no", f"c.wav,Is it raining?,{given}") for given in ("", " ", "...")],
}


@pytest.mark.parametrize(("name", "change"), [(name, change) for name, rows in EMPTY.items() for change in rows])
def test_an_answer_without_words_is_set_aside_and_the_others_stay(name, change, copied):
    root = copied(name)
    before = load(name, root).samples
    path = next(root / list_ for list_ in LISTS[name] if change[0] in (root / list_).read_text())
    changed(path, *change)
    dataset = load(name, root)
    assert len(dataset.rejected) == 1 and "has no " in dataset.rejected[0].reason and dataset.rejected[0].broken
    assert all(text.strip() for text in dataset.samples.columns["answer"])
    assert len(before) - 1 <= len(dataset.samples) <= len(before)


BROKEN = {
    "flickr30k": ('{"filename": "1.jpg"', '7, {"filename": "1.jpg"'),
    "okvqa": ('{"image_id": 81721', '"text", {"image_id": 81721'),
    "msr-vtt": ('{"video_id": "video1"', 'null, {"video_id": "video1"'),
    "msvd-qa": ('{"id": 202', '[], {"id": 202'),
    "audiocaps": ("102,b,30", "102,b,soon,more,cells\n102,b,30"),
    "clotho-aqa": ("b.wav,Is it raining?,no", "b.wav,no\nb.wav,Is it raining?,no"),
}


@every
def test_a_row_that_is_none_is_set_aside_with_its_place(name, copied):
    root = copied(name)
    before = load(name, root).samples
    path = next(root / list_ for list_ in LISTS[name] if BROKEN[name][0] in (root / list_).read_text())
    changed(path, *BROKEN[name])
    dataset = load(name, root)
    assert len(dataset.rejected) == 1 and dataset.rejected[0].id.startswith(path.name) and dataset.rejected[0].broken
    assert dataset.samples.ids.tolist() == before.ids.tolist()


COLUMN = {
    "flickr30k": ('"images"', '"pictures"', "an object with a list 'images' is needed"),
    "okvqa": ('"questions"', '"asked"', "an object with a list 'questions' is needed"),
    "msr-vtt": ('"sentences"', '"said"', "an object with a list 'sentences' is needed"),
    "msvd-qa": ('[{"id"', '{"all": [{"id"', "a list of objects is needed"),
    "audiocaps": ("start_time,", "start,", "has no column start_time. Its columns: audiocap_id"),
    "clotho-aqa": ("QuestionText", "question", "has no column QuestionText"),
}


@every
def test_a_list_without_what_is_needed_says_what_that_is(name, copied):
    root, (old, new, told) = copied(name), COLUMN[name]
    path = root / LISTS[name][0]
    changed(path, old, new)
    if name == "msvd-qa":
        path.write_text(path.read_text() + "}")
    with pytest.raises(DataError, match=told) as error:
        load(name, root)
    assert str(path) in str(error.value)


@every
def test_the_same_twice_counts_once(name, copied):
    root = copied(name)
    before = load(name, root).samples
    path = root / LISTS[name][0]
    if path.suffix == ".json":
        found = json.loads(path.read_text())
        rows = found if isinstance(found, list) else found[{"flickr30k": "images", "okvqa": "questions"}.get(
            name, "videos")]  # fmt: skip
        rows.append(rows[0])
        path.write_text(json.dumps(found))
        dataset = load(name, root)
        assert [(r.reason, r.broken) for r in dataset.rejected] == [("is listed before", False)]
    else:  # rows of tables are one answer each, and the same answer may be given twice
        path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
        dataset = load(name, root)
        assert not dataset.rejected
    assert {str(i).split("#")[0] for i in dataset.samples.ids} == {str(i).split("#")[0] for i in before.ids}


def test_together_they_are_the_published_stream_and_texts_become_ids(whole, cut_by, tiny_lm):
    together = SOURCES.get("together")
    sources = tuple({"name": name, "path": str(whole[name])} for name in SETS)
    stream = cut_by(together(together.Settings(sources=sources)), "tasks", order=("1",))
    assert [(s.task, s.modalities) for s in stream] == [
        ("captioning", ("audio",)), ("captioning", ("image",)), ("answering", ("video",)),
        ("answering", ("audio",)), ("answering", ("image",)), ("captioning", ("video",)),
    ]  # fmt: skip
    assert not stream.rejected and [len(stage.test) for stage in stream] == [2] * 6
    tokeniser = Tokeniser.load(tiny_lm)
    ready = tokenised(stream, tokeniser, templates=True)
    for stage, raw in zip(ready, stream, strict=True):
        for samples in (stage.train, stage.test):
            assert [tokeniser.text(ids.tolist()) for ids in samples.sequences["answer"]] == [
                tokeniser.text(tokeniser.answer(text)) for text in samples.columns["answer"]
            ]
            assert bool((samples.sequences["answer"] == tokeniser.end).any(1).all())
        assert torch.equal(stage.test.sequences["prompt"][0][: len(tokeniser.prompt(raw.test.columns["prompt"][0]))],
                           torch.tensor(tokeniser.prompt(raw.test.columns["prompt"][0])))  # fmt: skip


def test_a_file_is_encoded_once_for_all_its_samples(whole, cut_by):
    source = SOURCES.get("flickr30k")
    stream = cut_by(source(source.Settings(path=str(whole["flickr30k"]))), "tasks")
    encoder = _Mean("image")
    encoded = encode_stream(stream, {"image": encoder})
    assert not encoded.rejected and len(encoded[0].train) == 15
    batch = encoded[0].train.batch(torch.arange(15))
    assert len({round(float(v), 3) for v in batch.values["image"].flatten()}) == 3


class _Mean(ENCODERS.get("identity")):
    """The mean of whatever it is: enough to see that files are read."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def encode(self, values):
        return super().encode([np.array([np.mean(value)], np.float32) for value in values])


def test_the_configuration_is_the_published_stream(whole):
    settings = read(CONFIG)["stream"]
    sources = [
        {**entry, "path": str(whole[entry["name"]]), **({"held_out": 0.5} if "held_out" in entry else {})}
        for entry in settings["sources"]
    ]
    stream = build_stream({**settings, "sources": sources}, seed=0)
    assert [stage.name for stage in stream] == [
        "01-captioning-audio", "02-captioning-image", "03-answering-video",
        "04-answering-audio", "05-answering-image", "06-captioning-video",
    ]  # fmt: skip
    assert sorted(entry["name"] for entry in settings["sources"]) == sorted(SETS)
    assert all(len(stage.valid) for stage in stream), "patience needs samples to validate by"
