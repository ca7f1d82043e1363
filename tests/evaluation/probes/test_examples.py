"""The probe `examples`: figures by stage, means and forgetting by task and modality, and the same samples each time."""

import json
from dataclasses import replace

import pytest
import torch

from polymnia.evaluation.captions import bleu4, cider, rouge_l
from polymnia.evaluation.evaluator import EvaluationSettings, Evaluator
from polymnia.evaluation.metrics import final_average, forgetting, learning_accuracy
from polymnia.evaluation.probes.examples import HANDFUL, Examples, by_kind
from polymnia.evaluation.written import references
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier
from polymnia.report.page import write_report
from polymnia.training.run import Run
from polymnia.training.settings import run_settings

BY_HAND = [[0.8, None, None], [0.6, 0.5, None], [0.2, 0.7, 0.9]]


def test_forgetting_by_task_and_by_modality_of_a_matrix_made_by_hand(told):
    """Captions of images fall from 0.8 to 0.2; answers about sounds rise from 0.5 to 0.7."""
    rows = {row["kind"]: row for row in by_kind(BY_HAND, told.stages)}
    assert set(rows) == {"captioning", "answering", "image", "sound"}
    assert rows["captioning"] == {"kind": "captioning", "of": "task", "tests": 1, "score": 0.2, "learned": 0.8,
                                  "forgetting": pytest.approx(0.6)}  # fmt: skip
    assert rows["answering"]["score"] == pytest.approx(0.8) and rows["answering"]["learned"] == pytest.approx(0.7)
    assert rows["answering"]["forgetting"] == pytest.approx(-0.2)
    assert rows["image"]["forgetting"] == pytest.approx(0.6)
    assert rows["sound"]["forgetting"] == pytest.approx(-0.2)


def test_the_parts_of_a_matrix_made_by_hand_make_the_whole():
    assert final_average(BY_HAND) == pytest.approx((0.2 + 0.7 + 0.9) / 3)
    assert forgetting(BY_HAND) == pytest.approx((0.6 - 0.2) / 2)
    assert learning_accuracy(BY_HAND) == pytest.approx((0.8 + 0.5 + 0.9) / 3)
    for figure in (final_average, forgetting, learning_accuracy):
        assert figure(BY_HAND, [0, 1, 2]) == pytest.approx(figure(BY_HAND))
    assert forgetting(BY_HAND, [2]) != forgetting(BY_HAND, [2])  # NaN: nothing came after it


def test_figures_are_of_what_is_written(told, teller):
    method, probe = teller(), Examples()
    for stage in told:
        method.model.grow(stage)
        found = probe.measure(method, told, stage)
    test = told[0].test
    texts, right = method.answer(test.batch(torch.arange(6))), references(test)
    assert found["CIDEr captioning image"] == pytest.approx(cider(texts, right))
    assert found["score captioning image"] == pytest.approx(cider(texts, right) / 10)
    assert found["CIDEr of one reference captioning image"] == cider(texts, right, single=True)
    assert found["BLEU-4 captioning image"] == bleu4(texts, right)
    assert found["ROUGE-L captioning image"] == rouge_l(texts, right)
    assert found["exact match answering sound"] == found["score answering sound"]
    assert "BLEU-4 answering sound" not in found
    assert found["caption score"] == found["score captioning image"]
    answers = [found["score answering sound"], found["score answering image"]]
    assert found["answer score"] == pytest.approx(sum(answers) / 2)
    assert {"forgetting captioning", "forgetting answering", "forgetting image", "forgetting sound"} <= set(found)
    assert [row["stage"] for row in found["tests"]] == [stage.name for stage in told]


def test_the_same_samples_are_kept_after_every_stage(told, teller):
    method, probe = teller(), Examples()
    kept = []
    for stage in told:
        method.model.grow(stage)
        probe.measure(method, told, stage)
        kept.append(probe.record()["tests"])
    assert [len(tests) for tests in kept] == [1, 2, 3]
    ids = [[sample["id"] for sample in tests[0]["samples"]] for tests in kept]
    assert ids[0] == ids[1] == ids[2] and len(set(ids[0])) == HANDFUL
    first = kept[0][0]
    assert (first["stage"], first["task"], first["modalities"]) == ("captioning image", "captioning", ["image"])
    sample = first["samples"][1]
    assert sample["asked"] == "describe the image." and sample["references"] == references(told[0].test)[1]
    assert isinstance(sample["written"], str) and sample["right"] in (True, False)


def test_a_resumed_run_has_the_same_figures(told, teller):
    def learned(evaluator, stages):
        for stage in stages:
            evaluator.method.model.grow(stage)
            evaluator.after(stage)
        return evaluator

    wanted = EvaluationSettings(probes=("examples",))
    whole = learned(Evaluator(teller(), told, wanted), told.stages)
    first = learned(Evaluator(teller(), told, wanted), told.stages[:2])
    again = Evaluator(first.method, told, wanted)
    again.load_state_dict(first.state_dict())
    assert learned(again, told.stages[2:]).figures()["probes"] == whole.figures()["probes"]
    assert again.figures()["probes"]["examples"]["caption score by stage"][0] is not None


def test_a_stage_without_test_samples_is_left_out(told, teller):
    empty = replace(told[0], test=told[0].test.subset(torch.arange(0)))
    method, probe = teller([empty, told[1]]), Examples()
    stream = replace(told, stages=(empty, *told.stages[1:]))
    assert probe.measure(method, stream, empty) == {
        "tests": [], "kinds": by_kind([[None]], [empty]), "caption score": None, "caption score when learned": None,
        "forgetting captioning": None, "forgetting image": None,
        "change on same modality": None, "score on same modality": None,
        "change on absent modality": None, "score on absent modality": None,
    }  # fmt: skip
    assert probe.record() is None
    assert [row["stage"] for row in probe.measure(method, stream, told[1])["tests"]] == ["answering sound"]


def test_a_family_that_writes_nothing_has_no_figures(digits):
    method = Finetune(Classifier())
    method.model.grow(digits[0])
    probe = Examples()
    assert probe.measure(method, digits, digits[0]) == {} and probe.record() is None


def test_a_run_leaves_its_examples_in_the_folders_of_its_stages_and_the_report_shows_them(told, tiny_lm, tmp_path):
    given = {
        "stream": {"name": "digits"},
        "model": {"name": "language-model", "host": {"name": "checkpoint", "path": str(tiny_lm)}, "most": 4},
        "method": {"name": "finetune"},
        "trainer": {"epochs": 1, "batch_size": 4, "count_flops": False},
        "evaluation": {"probes": ["examples"]},
    }
    scores = Run(run_settings(given), tmp_path / "run", stream=told).go()
    assert scores.metric == "CIDEr/10; VQA accuracy"
    kept = [json.loads((tmp_path / "run" / "stages" / stage.name / "examples.json").read_text()) for stage in told]
    assert [[test["stage"] for test in record["tests"]] for record in kept] == [
        [stage.name for stage in told.stages[: i + 1]] for i in range(3)
    ]
    page = write_report(tmp_path / "run").read_text()
    assert "What it wrote" in page and "a red star / star red a dot" in page
