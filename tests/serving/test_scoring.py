"""Scored on data from anywhere, a run gets what its own evaluation gives it; what cannot be scored is said."""

import json
import logging

import numpy as np
import pytest
import torch

import polymnia as pm
from polymnia.data.samples import Samples
from polymnia.data.source import SOURCES, Dataset
from polymnia.errors import DataError, SettingsError, StateError
from polymnia.evaluation.accuracy import accuracy
from polymnia.evaluation.retrieval import ranks_of_right, retrieved, retrieved_distinct
from polymnia.serving.content import own_data
from polymnia.serving.loading import finished, load, weights_digest
from polymnia.serving.partners import distinct
from polymnia.serving.scoring import evaluate
from polymnia.training.run import prepare

ALL = ("pixels", "projections", "spectrum")


@pytest.fixture(scope="module")
def digits():
    return SOURCES.get("digits")().load()


def held_out(folder, stages):
    """Return the raw test samples of a run's stages."""
    stream = own_data(load(folder).settings)
    samples = Samples.concat([stage.test for stage in stream.stages[stages]])
    return Dataset(samples=samples, class_names=stream.class_names, kinds=stream.kinds)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_space_gets_what_its_vectors_give_and_the_folder_stays(space_run):
    before = contents(space_run)
    found = evaluate(space_run, held_out(space_run, slice(0, 1)))
    assert contents(space_run) == before
    stage = prepare(load(space_run).settings).stages[0]
    held = load(space_run).method.predict(stage.test.batch(torch.arange(len(stage.test)))).representations
    there, back = retrieved(held["pixels"], held["projections"])  # no two digits are the same
    assert [(way.asked, way.found) for way in found.retrieval] == [("pixels", "projections"), ("projections", "pixels")]
    for way, wanted in zip(found.retrieval, (there, back), strict=True):
        assert way.recall == wanted.recall and way.median_rank == wanted.median_rank
        assert way.paired and way.pairs == way.queries == way.candidates == len(stage.test) == found.samples
        assert way.chance == pytest.approx(10 / way.candidates) and way.recall[10] > 3 * way.chance
    assert found.classification is None and not found.rejected and not found.left_out


def test_what_was_never_paired_is_scored_too_and_told_apart(space_run, digits):
    found = evaluate(space_run, digits)
    paired = {(way.asked, way.found): way.paired for way in found.retrieval}
    assert len(paired) == 6 and {couple for couple, yes in paired.items() if not yes} == {
        ("projections", "spectrum"), ("spectrum", "projections")}  # fmt: skip
    said = found.to_json()
    assert said["stage"] == finished(space_run)[-1] and said["weights"] == weights_digest(space_run, said["stage"])
    assert said["polymnia"] == pm.__version__ and said["data"] == {"name": "data"} and said["samples"] == 1797
    assert json.loads(json.dumps(said))["retrieval"][0]["R@10"] == found.retrieval[0].recall[10]


def test_equal_values_are_one_and_neither_flatter_nor_make_a_right_answer_wrong(space_run, digits):
    one = digits.samples.subset(torch.arange(200))
    alone = evaluate(space_run, Dataset(samples=one, class_names=digits.class_names, kinds=digits.kinds))
    twice = Samples(
        np.array([f"s{i}" for i in range(400)]), {m: np.concatenate([v, v]) for m, v in one.values.items()},
        {m: torch.cat([v, v]) for m, v in one.present.items()}, torch.cat([one.targets, one.targets]),
    )  # fmt: skip
    again = evaluate(space_run, Dataset(samples=twice, class_names=digits.class_names, kinds=digits.kinds))
    for way, other in zip(alone.retrieval, again.retrieval, strict=True):
        assert (way.recall, way.chance, way.median_rank) == (other.recall, other.chance, other.median_rank)
        assert way.queries == other.queries == 200 and (way.pairs, other.pairs) == (200, 400)


def test_a_value_with_several_partners_has_several_right_answers():
    titles, pictures = torch.eye(2), torch.tensor([[0.0, 1.0], [1.0, 0.5], [0.6, 1.0]])
    right = torch.tensor([[0, 0], [0, 1], [1, 2]])
    assert ranks_of_right(titles, pictures, right).tolist() == [1, 2]
    assert ranks_of_right(pictures, titles, right.flip(1)).tolist() == [2, 1, 1]
    assert ranks_of_right(torch.zeros(2, 2), pictures, right).tolist() == [2, 3]  # all alike: behind every wrong one
    assert ranks_of_right(torch.full((2, 2), torch.nan), pictures, right).tolist() == [2, 3]
    drawn = torch.Generator().manual_seed(0)
    a, b = (torch.randn(30, 4, generator=drawn) for _ in range(2))
    own = torch.arange(30)[:, None].expand(-1, 2)
    assert retrieved_distinct(a, b, own, chunk=7) == retrieved(a, b)
    with pytest.raises(ValueError, match="2 queries, of which 1 have a right candidate"):
        ranks_of_right(titles, pictures, right[:2])


def test_texts_that_differ_in_case_and_spaces_are_one():
    texts = np.array(["A cow", "a  cow ", "cow", None, "A cow"], dtype=object)
    numbers, first = distinct(texts, torch.tensor([True, True, True, False, True]))
    assert numbers.tolist() == [0, 0, 1, -1, 0] and first.tolist() == [0, 2]


def test_a_classifier_gets_its_accuracy_over_the_classes_it_knows(learned_run, digits):
    first, last = finished(learned_run)
    wanted = [accuracy(load(learned_run).method, stage.test) for stage in prepare(load(learned_run).settings).stages]
    found = evaluate(learned_run, held_out(learned_run, slice(0, 2)))
    about = found.classification
    assert (about.right, about.of) == tuple(sum(getattr(a, name) for a in wanted) for name in ("right", "of"))
    assert about.known == 10 and sum(of for _, of in about.by_class.values()) == about.of and not found.retrieval
    assert sum(right for right, _ in about.by_class.values()) == about.right
    early = evaluate(learned_run, held_out(learned_run, slice(0, 2)), stage=first)
    assert early.classification.known == 5 and early.left_out == about.of - early.classification.of > 0
    assert early.stage == first != last and early.weights != found.weights


def test_classes_are_matched_by_name_whatever_their_numbers(learned_run, digits):
    names = tuple(reversed(digits.class_names))
    targets = len(names) - 1 - digits.samples.targets
    kept = digits.samples.only(["pixels", "spectrum"])
    straight = Dataset(samples=kept, class_names=digits.class_names, kinds=digits.kinds)
    turned = Samples(kept.ids, kept.values, kept.present, targets)
    other = Dataset(samples=turned, class_names=names, kinds=digits.kinds)
    assert evaluate(learned_run, other).classification == evaluate(learned_run, straight).classification
    strange = Dataset(samples=kept, class_names=tuple("abcdefghij"), kinds=digits.kinds)
    with pytest.raises(
        DataError, match=r"no sample is of a class that .* has learned.*\nAccepted: .*The data has a, b"
    ):
        evaluate(learned_run, strange)


@pytest.fixture
def own(tmp_path, digits):
    """A manifest over digits' files: two splits, one file cut, one class that nobody knows."""
    lines = ["id,pixels,spectrum,label,split"]
    for i in range(30):
        for m in ("pixels", "spectrum"):
            np.save(tmp_path / f"{m}-{i}.npy", digits.samples.values[m][i])
        label = "strange" if i == 29 else digits.samples.columns["label"][i]
        lines.append(f"own-{i},pixels-{i}.npy,spectrum-{i}.npy,{label},{'test' if i % 2 else 'train'}")
    (tmp_path / "pixels-3.npy").write_bytes((tmp_path / "pixels-3.npy").read_bytes()[:-3])
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "own.csv"


KINDS = {"pixels": "table", "spectrum": "table"}


@pytest.mark.parametrize("split", [None, "test"])
def test_a_manifest_its_split_and_what_is_broken(learned_run, own, split):
    found = pm.evaluate(learned_run, own, kinds=KINDS, split=split)
    n = 30 if split is None else 15
    assert found.samples == n and found.left_out == 1 and found.classification.of == n - 2
    [broken] = found.rejected
    assert (broken.id, broken.modality) == ("own-3", "pixels") and "truncated" in broken.reason
    assert found.data["name"] == "manifest" and found.data["path"] == str(own) and found.data["label"] == "label"
    assert found.to_json()["set aside"] == 1 and found.split == split


def test_a_broken_value_leaves_a_space_the_other_pairs(space_run, own):
    found = pm.evaluate(space_run, own, kinds=KINDS)
    assert {way.pairs for way in found.retrieval} == {29} and len(found.rejected) == 1


def test_what_cannot_be_scored(space_run, learned_run, digits, own, tmp_path):
    with pytest.raises(SettingsError, match=r"no 'valid': it has train, test. Leave --split out"):
        pm.evaluate(learned_run, own, kinds=KINDS, split="valid")
    with pytest.raises(SettingsError, match=r"it does not say of its samples which split"):
        evaluate(space_run, digits, split="test")
    with pytest.raises(
        DataError, match=r"the data has projections \(table\), which was not learned.*\nAccepted: pixels"
    ):
        evaluate(learned_run, digits)
    with pytest.raises(DataError, match=r"spectrum \(table\), which was not learned in .* by stage 01-"):
        evaluate(space_run, digits, stage=finished(space_run)[0])
    with pytest.raises(DataError, match="pixels is image in the data"):
        evaluate(space_run, Dataset(samples=digits.samples, class_names=(), kinds={**digits.kinds, "pixels": "image"}))
    with pytest.raises(
        DataError, match="no sample has two modalities, so that none can find another; the data has pix"
    ):
        pm.evaluate(space_run, "digits", modalities=["pixels"])
    with pytest.raises(SettingsError, match="no such finished stage"):
        evaluate(space_run, digits, stage="x")
    with pytest.raises(StateError, match="is not a run"):
        evaluate(tmp_path, digits)
    with pytest.raises(SettingsError, match="'modalities' is a setting of a source, and samples are given"):
        pm.evaluate(space_run, digits, modalities=["pixels"])
    nothing = digits.samples.subset(torch.arange(2))
    nothing.values["pixels"][:] = np.nan
    data = Dataset(samples=nothing.only(["pixels", "spectrum"]), class_names=digits.class_names, kinds=digits.kinds)
    with pytest.raises(DataError, match=r"no sample has two modalities that can be read. First: .*NaN"):
        evaluate(space_run, data)
    with pytest.raises(DataError, match=r"not one of 2 samples can be read. First: .*NaN"):
        evaluate(learned_run, data)


def test_data_that_the_run_learned_from_is_no_test_set(space_run, own, caplog):
    with caplog.at_level(logging.WARNING):
        pm.evaluate(space_run, own, kinds=KINDS)
        assert not caplog.records
        pm.evaluate(space_run, {"name": "digits", "modalities": ["pixels", "spectrum"]})
    [record] = caplog.records
    assert "learned from digits: it may have seen some of these samples" in record.getMessage()
