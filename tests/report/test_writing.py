"""Texts in the report: figures, examples after every stage, and a matrix whose columns have metrics of their own."""

import json

import pytest

from polymnia.errors import StateError
from polymnia.report.compare import compare, write_comparison
from polymnia.report.folder import read_run
from polymnia.report.page import _content, write_report
from polymnia.report.writing import wrote

EVIL = "<script>a</script>"
TASKS = ("captioning", "answering", "answering")
FIGURES = {
    "caption score": 0.0123,
    "tests": [
        {"stage": "01-a", "task": "captioning", "score": 0.0523, "exact match": 0.25, "CIDEr": 0.523,
         "CIDEr of one reference": 0.4, "BLEU-4": 0.125, "ROUGE-L": 0.5, "samples": 1200},
        {"stage": "02-b", "task": "answering", "score": 0.75, "exact match": 0.75, "ROUGE-L": 0.8, "samples": 8},
    ],
    "kinds": [
        {"kind": "captioning", "of": "task", "tests": 1, "score": 0.0523, "learned": 0.09, "forgetting": 0.0377},
        {"kind": "image", "of": "modality", "tests": 2, "score": None, "learned": None, "forgetting": None},
    ],
}  # fmt: skip


def sample(text, right=False):
    return {"id": "s", "asked": "describe the image.", "references": ["a red frog", "a frog", "a frog", "frog", "it"],
            "written": text, "right": right}  # fmt: skip


def test(stage, *samples):
    return {"stage": stage, "task": "captioning", "modalities": ["image"], "samples": list(samples)}


test.__test__ = False


@pytest.fixture
def folder(make_run, copied, changed):
    """A run of captions and answers that has forgotten its first stage."""
    folder = copied(make_run(), name="texts")
    stages = json.loads((folder / "scores.json").read_text())["stages"]

    def tasks(content):
        for stage, task in zip(content["stages"], TASKS, strict=True):
            stage["task"] = task

    changed(folder / "stream.json", tasks)
    changed(
        folder / "scores.json",
        lambda content: content.update(
            metric="CIDEr/10; VQA accuracy",
            matrix=[[0.08, None, None], [0.04, 0.5, None], [0.02, 0.25, 0.75]],
            probes={"examples": FIGURES},
        ),
    )
    for i, name in enumerate(stages):
        kept = folder / "stages" / name
        kept.mkdir(parents=True)
        first = test(stages[0], sample(["a red frog", "blue", ""][i], i == 0), sample(EVIL))
        tests = [first] if i == 0 else [first, test(stages[1], sample("two"))]
        (kept / "examples.json").write_text(json.dumps({"tests": tests}))
    return folder


def test_the_page_shows_what_was_written_after_each_stage(folder):
    page = write_report(folder).read_text()
    for said in ("What it wrote", 'href="#texts"', "describe the image.", "a red frog / a frog / frog / and 1 more",
                 "(nothing)", "&lt;script&gt;a&lt;/script&gt;", "52.3", "12.5 %", "1,200"):  # fmt: skip
        assert said in page, said
    assert EVIL not in page
    assert page.index("a red frog <span") < page.index(">blue<") < page.index("(nothing)")
    assert "examples, caption score" not in page


def test_each_test_set_has_a_row_for_every_stage_that_wrote_for_it(folder):
    first, second = wrote(read_run(folder))["examples"]
    assert [row["cells"][0]["text"] for row in first["rows"]] == ["a red frog", "blue", "(nothing)"]
    assert [row["cells"][0]["right"] for row in first["rows"]] == [True, False, False]
    assert [row["own"] for row in first["rows"]] == [True, False, False]
    assert [row["own"] for row in second["rows"]] == [True, False]
    assert first["name"] == "captioning, image" and len(first["samples"]) == 2


def test_figures_are_in_the_units_of_papers(folder):
    found = wrote(read_run(folder))
    assert found["tests"] == [
        ["01-a", "captioning", "1,200", "5.2 %", "25.0 %", "52.3", "40.0", "12.5 %", "50.0 %"],
        ["02-b", "answering", "8", "75.0 %", "75.0 %", "–", "–", "–", "80.0 %"],
    ]
    assert found["kinds"] == [
        ["captioning", "task", "1", "9.0 %", "5.2 %", "+3.8"],
        ["image", "modality", "2", "–", "–", "–"],
    ]


def test_a_column_is_coloured_on_the_scale_of_its_own_metric(folder):
    content = _content(read_run(folder))
    matrix = content["matrix"]
    assert [column["metric"] for column in matrix["columns"]] == ["CIDEr/10", "VQA accuracy", "VQA accuracy"]
    assert [row["cells"][0]["look"] for row in matrix["rows"]] == ["h20 diagonal", "h10", "h5"]
    assert [cell["text"] for cell in matrix["rows"][2]["cells"]] == ["2.0", "25.0", "75.0"]
    assert matrix["rows"][2]["cells"][2]["look"] == "h15 diagonal"
    assert [(scale["low"], scale["high"]) for scale in matrix["scales"]] == [("0.0", "8.0"), ("0.0", "100.0")]
    page = write_report(folder).read_text()
    assert "papers print ten times these numbers" in page and "read them as a rough sum" in page
    assert "Test sets scored by CIDEr/10" in page and "Test sets scored by VQA accuracy" in page


def test_a_run_without_texts_has_no_section(make_run):
    page = write_report(make_run()).read_text()
    assert 'id="texts"' not in page and "rough sum" not in page and "Every test set over the stages" in page


def test_damaged_examples_are_named(folder):
    path = next(iter(sorted((folder / "stages").glob("*/examples.json"))))
    path.write_text("{")
    with pytest.raises(StateError, match=r"examples\.json is damaged"):
        write_report(folder)


def test_a_comparison_has_caption_and_answer_scores_apart(folder, make_run):
    mixed, other = compare([folder]), compare([make_run()])
    assert list(mixed.names())[-1] == "caption score"
    assert mixed.groups[0].figures["caption score"].mean == 0.0123
    assert "caption score" in mixed.text() and "caption score" not in other.text()
    assert "caption score" in write_comparison(mixed, folder).read_text()
