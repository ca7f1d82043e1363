"""Shared spaces in the report: curves by stage, the transfer matrix, and what is unchanged to the last bit."""

import json

import pytest

from polymnia.report.page import write_report
from polymnia.report.probes import probed

PROBES = {
    "transfer": {"seen": 0.5, "seen by stage": [0.75, 0.5, 0.5], "unseen": 0.25, "unseen by stage": [None, 0.5, 0.25],
                 "modalities": ["image", "text"], "matrix": [[1.0, 0.5], [None, 0.75]]},
    "fixed": {"fixed": 0.5, "fixed by stage": [0.75, 0.5, 0.5]},
    "pairs": {"seen R@10": 0.5, "seen R@10 by stage": [0.5, 0.5, 0.5],
              "table": [{"from": "image", "to": "<text>", "seen": False, "samples": 1200, "R@1": 0.125, "R@5": 0.25,
                         "R@10": 0.5, "median rank": 12.5}]},
    "paths": {"identical": 1.0, "R@10": 0.4, "table": [
        {"stage": "01-a", "from": "image", "to": "text", "samples": 1201, "R@10 then": 0.3125, "R@10": 0.3125,
         "R@10 newest": 0.1875, "identical": 1.0},
        {"stage": "02-b", "from": "image", "to": "text", "samples": 1202, "R@10 then": 0.5, "R@10": 0.5,
         "R@10 newest": 0.5, "identical": None}]},
    "certificates": {"identical image": 1.0, "identical image by stage": [None, 1.0, 1.0], "change image": 0.0,
                     "change image by stage": [None, 0.0, 0.0], "identical text": 0.0,
                     "identical text by stage": [None, 1.0, 0.0], "change text by stage": [None, 0.0, 0.0123],
                     "codes identical image by stage": [None, 1.0, 0.0],
                     "codes identical text by stage": [None, 1.0, 1.0], "checks": []},
}  # fmt: skip


@pytest.fixture
def folder(make_run, copied, changed):
    folder = copied(make_run(), name="space")
    changed(folder / "scores.json", lambda content: content.update(probes=PROBES))
    return folder


def test_the_page_shows_curves_matrix_retrieval_and_certificates(folder):
    page = write_report(folder).read_text()
    for said in ("Retention beside plasticity", "pairs that never met", "fixed probe, its own modality",
                 "image → &lt;text&gt;", "1,200", "12.5 %", "unchanged to the last bit",
                 "moved by up to 0.012, codes the same"):  # fmt: skip
        assert said in page, said
    assert "<text>" not in page
    assert 'href="#probes"' in page


def test_retrieval_on_old_paths_is_shown_beside_that_on_the_newest(folder):
    assert probed(scores_of(folder))["paths"] == [
        ["image → text", "01-a", "unchanged to the last bit", "1,201", "31.2 %", "31.2 %", "18.8 %"]
    ]
    assert "18.8 %" in write_report(folder).read_text()


def test_a_page_without_them_has_no_section(make_run):
    assert 'id="probes"' not in write_report(make_run()).read_text()


def scores_of(folder):
    from polymnia.evaluation.scores import read_scores

    return read_scores(folder)


def test_a_cell_of_transfer_has_its_step_of_heat_and_its_frame(folder):
    table = probed(scores_of(folder))["transfer"]
    assert table["columns"] == ["image", "text"]
    assert table["rows"][0]["cells"] == [{"text": "100.0", "look": "h20 diagonal"}, {"text": "50.0", "look": "h10"}]
    assert table["rows"][1]["cells"][0] == {"text": "–", "look": "none"}


def test_unchanged_vectors_with_other_codes_are_not_unchanged(folder):
    rows = probed(scores_of(folder))["certificates"]["rows"]
    assert len(rows) == 2  # after the first stage nothing could be checked
    assert [cell["text"] for cell in rows[0]["cells"]] == ["unchanged to the last bit"] * 2
    assert [cell["text"] for cell in rows[1]["cells"]] == ["codes changed", "moved by up to 0.012, codes the same"]
    assert [cell["look"] for cell in rows[1]["cells"]] == ["h0", "h0"]


def test_a_run_of_pairs_is_shown_in_per_cent(make_run, copied, changed):
    folder = copied(make_run(), name="pairs")
    changed(folder / "scores.json", lambda content: content.update(metric="retrieval R@10"))
    first = json.loads((folder / "scores.json").read_text())["matrix"][0][0]
    page = write_report(folder).read_text()
    assert "retrieval R@10, in per cent" in page and f"{100 * first:.1f}" in page
