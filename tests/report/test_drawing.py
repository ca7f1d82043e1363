"""Drawing in the report: both kinds of forgetting beside plasticity, figures by stage, and a grid of pictures."""

import json

import pytest

from polymnia.errors import StateError
from polymnia.report.drawing import drew
from polymnia.report.folder import read_run
from polymnia.report.page import write_report

EVIL = '"><script>a</script>'
FIXED = {
    "NLL before": 1.5, "agreement before": 0.75, "Frechet before": 4.25, "Frechet low before": 4.0,
    "Frechet high before": 4.5, "kernel distance before": 0.0125, "diversity before": 2.5,
    "agreement of real": 1.0, "Frechet of real": 3.0,
}  # fmt: skip
FIGURES = {
    "drawing": FIXED | {
        "NLL": 2.0, "NLL by stage": [1.5, 1.75, 2.0], "NLL change by stage": [0.0, 0.25, 0.5],
        "agreement by stage": [0.75, 0.5, 0.25], "agreement change by stage": [0.0, -0.25, -0.5],
        "Frechet by stage": [4.25, 6.0, 9.0], "unchanged by stage": [1.0, 0.5, 0.0],
    },
    "intra-modal": {
        "learned by stage": [0.5, 0.75, 0.75], "accuracy by stage": [0.5, 0.5, 0.25],
        "forgetting by stage": [None, 0.25, 0.5], "forgetting": 0.5,
    },
}  # fmt: skip


@pytest.fixture
def folder(make_run, copied, changed):
    """A run that draws ever worse."""
    folder = copied(make_run(), name="drawings")
    changed(folder / "scores.json", lambda content: content.update(probes=FIGURES))
    for i, name in enumerate(json.loads((folder / "scores.json").read_text())["stages"]):
        kept = folder / "stages" / name
        kept.mkdir(parents=True)
        read = {"colour": "red", "shape": ["dot", "dot", "star"][i]}
        pictures = [{"id": "a", "asked": "draw a red dot.", "shows": {}, "read": read, "right": i < 2,
                     "read before": {"colour": "blue"}, "right before": False,
                     "drawn": f"AAA{i}", "before": "BBBB", "real": "CCCC"},
                    {"id": "b", "asked": EVIL, "shows": {}, "read": {}, "right": False,
                     "drawn": EVIL, "before": "BBBB", "real": "CCCC"}]  # fmt: skip
        (kept / "drawing.json").write_text(json.dumps({"pictures": pictures}))
    return folder


def test_forgetting_of_both_kinds_stands_beside_plasticity(folder):
    found = drew(read_run(folder))
    assert [row[1:] for row in found["both"]["rows"]] == [
        ["50.0 %", "50.0 %", "–", "0.000", "0.0"],
        ["75.0 %", "50.0 %", "+25.0", "+0.250", "−25.0"],
        ["75.0 %", "25.0 %", "+50.0", "+0.500", "−50.0"],
    ]
    names = [row[0] for row in found["stages"]]
    assert names[0] == "the host, before" and names[-1] == "real pictures" and len(names) == 6
    assert found["stages"][0][1:] == ["1.500", "75.0 %", "4.2 (4.0 to 4.5)", "0.0125", "2.50", "–", "–"]
    assert found["stages"][2][1:4] == ["1.750", "50.0 %", "6.0"] and found["stages"][2][-1] == "50.0 %"
    assert found["stages"][-1][1:4] == ["–", "100.0 %", "3.0"]


def test_what_was_not_measured_has_no_column(folder, changed):
    changed(folder / "scores.json", lambda content: content["probes"].pop("intra-modal"))
    found = drew(read_run(folder))["both"]
    assert [heading.split(":")[0] for heading in found["head"]] == ["inter-modal", "inter-modal"]
    assert [row[1:] for row in found["rows"]] == [["0.000", "0.0"], ["+0.250", "−25.0"], ["+0.500", "−50.0"]]
    assert "intra-modal" not in write_report(folder).read_text()


def test_pictures_stand_by_prompt_and_stage(folder):
    found = drew(read_run(folder))["pictures"]
    assert found["prompts"] == ["draw a red dot.", EVIL]
    assert [row["cells"][0]["picture"] for row in found["rows"]] == ["CCCC", "BBBB", "AAA0", "AAA1", "AAA2"]
    assert [row["cells"][0]["right"] for row in found["rows"]] == [False, False, True, True, False]
    assert found["rows"][-1]["cells"][0]["read"] == "red, star"
    assert [cell["read"] for cell in found["rows"][1]["cells"]] == ["blue", ""], "none where an older run has none"


def test_the_page_shows_them_and_escapes_what_it_is_given(folder):
    page = write_report(folder).read_text()
    for said in ("What it drew", 'href="#drawings"', 'src="data:image/png;base64,AAA2"', "img-src data:",
                 "intra-modal forgetting", "+0.500", "red, star"):  # fmt: skip
        assert said in page, said
    assert EVIL not in page and "drawing, NLL" not in page and "intra-modal, forgetting" not in page
    assert page.index("AAA0") < page.index("AAA1") < page.index("AAA2")


def test_a_run_that_draws_nothing_has_no_section(make_run):
    page = write_report(make_run()).read_text()
    assert 'id="drawings"' not in page and "<img" not in page


def test_damaged_pictures_are_named(folder):
    path = next(iter(sorted((folder / "stages").glob("*/drawing.json"))))
    path.write_text("[]")
    with pytest.raises(StateError, match=r"drawing\.json is damaged: it has no 'pictures'"):
        write_report(folder)
