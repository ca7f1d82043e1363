import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from polymnia.errors import StateError
from polymnia.report.page import write_report

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Page(HTMLParser):
    """A page taken apart: every element with its attributes, its text, and whether its tags close in order."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(source)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def folder(make_run):
    return make_run(evaluation={"ahead": True}, trainer={"patience": 3})


@pytest.fixture(scope="module")
def page(folder):
    return Page(write_report(folder).read_text())


def test_the_report_lies_in_the_run_folder(folder):
    assert write_report(folder) == folder / "report.html"


def test_the_same_run_gives_the_same_bytes(folder):
    assert write_report(folder).read_bytes() == write_report(folder).read_bytes()


def test_nothing_is_loaded_from_anywhere(folder, page):
    assert not {"script", "link", "img", "iframe", "object", "image", "base"} & {tag for tag, _ in page.elements}
    addresses = [v for _, attrs in page.elements for k, v in attrs.items() if k in ("src", "href", "xlink:href") and v]
    assert all(a.startswith("#") or a == "https://archive.ics.uci.edu/dataset/80" for a in addresses)
    assert not re.search(r"@import|url\((?!#)", (folder / "report.html").read_text())
    policy = next(attrs for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")


def test_every_link_inside_the_page_has_its_target_and_every_id_is_unique(page):
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    inside = {v[1:] for _, attrs in page.elements for k, v in attrs.items() if k == "href" and v.startswith("#")}
    assert inside <= set(ids)


def test_the_figures_are_those_of_the_scores(folder, page):
    scores = json.loads((folder / "scores.json").read_text())
    for name, figure in [("Final average", "final_average"), ("Learning accuracy", "learning_accuracy")]:
        assert f"{name} {100 * scores[figure]:.1f} %" in page.text
    assert f"Forgetting {100 * scores['forgetting']:.1f} points" in page.text
    for row in scores["matrix"]:
        assert all(f"{100 * score:.1f}" in page.text for score in row)
    assert page.text.index("Learning accuracy") < page.text.index("Forgetting") < page.text.index("Backward transfer")


def test_every_part_of_the_folder_is_told(folder, page):
    stream = json.loads((folder / "stream.json").read_text())
    environment = json.loads((folder / "environment.json").read_text())
    for told in (stream["card"]["licence"], stream["card"]["citation"], environment["versions"]["torch"]):
        assert told in page.text
    assert "trainer.lr 0.003" in page.text
    assert "pixels + projections + spectrum" in page.text
    assert "every value could be read" in page.text
    assert "Validation on the current stage" in page.text


def test_tables_and_figures_can_be_heard(page):
    assert page.all("html")[0]["lang"] == "en"
    assert [tag for tag, _ in page.elements if tag in ("h1", "h2")].count("h1") == 1
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    assert len(page.all("figure")) == len(page.all("figcaption")) == 4
    charts = [attrs for attrs in page.all("svg")]
    assert all(attrs["role"] == "img" and "chart" in attrs["aria-label"] for attrs in charts)
    assert all("aria-label" in attrs for _, attrs in page.elements if attrs.get("role") == "region")


def test_every_colour_of_a_figure_is_the_pages_own(folder):
    figures = re.findall(r"<svg.*?</svg>", (folder / "report.html").read_text(), flags=re.DOTALL)
    assert figures
    assert not [c for svg in figures for c in re.findall(r"(?:fill|stroke|color): ?(#[0-9a-f]{3,8})", svg)]


EVIL = '<script>alert("1")</script>'


@pytest.fixture
def hostile(make_run, copied, changed):
    """A run whose every text that a stranger may write tries to get out of its place."""
    folder = copied(make_run(), name="hostile")

    def names(content):
        for i, stage in enumerate(content["stages"]):
            stage["name"] = f"{i}{EVIL}$x_{{$"
        content["class_names"] = [f"{name}{EVIL}" for name in content["class_names"]]
        content["card"] |= {"title": EVIL, "notes": EVIL, "homepage": "javascript:alert(1)"}

    def stages(content):
        content["stages"] = [f"{i}{EVIL}$x_{{$" for i, _ in enumerate(content["stages"])]
        for i, cost in enumerate(content["cost"]):
            cost["stage"] = content["stages"][i]
        content["per_subset"] = {f"{EVIL}": 0.5, f"{EVIL}+b": 0.5}

    changed(folder / "stream.json", names)
    changed(folder / "scores.json", stages)
    changed(folder / "settings.json", lambda content: content["stream"].update(path=EVIL))
    row = {"id": EVIL, "modality": "image", "value": f"{EVIL}.png", "reason": f"cannot be read: {EVIL}"}
    (folder / "rejected.jsonl").write_text("".join(json.dumps(row | {"id": f"{EVIL}{i}"}) + "\n" for i in range(30)))
    return folder


def test_what_strangers_wrote_is_shown_and_never_run(hostile):
    page = Page(write_report(hostile).read_text())
    assert not page.all("script")
    assert page.text.count(EVIL) > 30
    assert not [v for _, attrs in page.elements for v in attrs.values() if v and v.startswith("javascript:")]


def test_what_was_set_aside_is_counted_explained_and_sampled(hostile):
    page = Page(write_report(hostile).read_text())
    assert "30 values could not be read" in page.text
    assert "The first 20 of 30" in page.text
    assert re.search(r"cannot be read: \S+ 30", page.text)


def test_many_stages_are_numbered_and_drawn_alike(make_run, copied, changed):
    folder, n = copied(make_run()), 12

    def longer(content):
        content["stages"] = [f"a rather long name {i}" for i in range(n)]
        content["matrix"] = [[0.5] * (i + 1) + [None] * (n - i - 1) for i in range(n)]
        content["cost"] = [content["cost"][0] | {"stage": name} for name in content["stages"]]

    changed(folder / "scores.json", longer)
    stage = json.loads((folder / "stream.json").read_text())["stages"][0]
    rows = [stage | {"name": f"a rather long name {i}", "index": i} for i in range(n)]
    changed(folder / "stream.json", lambda content: content.update(stages=rows))
    page = Page(write_report(folder).read_text())
    assert [attrs["title"] for attrs in page.all("abbr")] == [f"a rather long name {i}" for i in range(n)]
    assert "12 · a rather long name 11" in page.text
    assert "too many test sets" in page.text


def test_a_run_under_way_is_reported_and_said_to_be(make_run, copied, changed):
    folder = copied(make_run(), name="half")

    def first_only(content):
        content["stages"], content["matrix"], content["cost"] = (content[k][:1] for k in ("stages", "matrix", "cost"))
        content["per_subset"] = {}
        content["forgetting"] = content["backward_transfer"] = 0.0

    changed(folder / "scores.json", first_only)
    page = Page(write_report(folder).read_text())
    assert "1 of 3 stages are scored so far. Go on with: polymnia resume half" in page.text
    assert "forgetting shows once" in page.text
    assert "Not scored:" in page.text


def test_a_stage_without_test_samples_leaves_a_gap(make_run, copied, changed):
    folder = copied(make_run())

    def gap(content):
        for row in content["matrix"]:
            row[0] = None
        content["forgetting"] = content["backward_transfer"] = None

    changed(folder / "scores.json", gap)
    page = Page(write_report(folder).read_text())
    assert "Forgetting –" in page.text
    assert "nan" not in page.text.lower().replace("financ", "")


def test_a_metric_that_is_no_share_is_not_shown_in_per_cent(make_run, copied, changed):
    folder = copied(make_run())

    def cider(content):
        content["metric"] = "CIDEr"
        content["matrix"] = [[None if s is None else 1.2 + s for s in row] for row in content["matrix"]]
        content["final_average"] = 1.234

    changed(folder / "scores.json", cider)
    page = Page(write_report(folder).read_text())
    assert "Final average 1.234" in page.text
    assert "in per cent" not in page.text


def test_a_line_cut_short_by_a_kill_and_steps_done_twice_do_not_matter(make_run, copied):
    folder = copied(make_run())
    clean = write_report(folder).read_bytes()
    events = (folder / "events.jsonl").read_text()
    (folder / "events.jsonl").write_text(events.splitlines()[0] + "\n" + events + events[:40])
    assert write_report(folder).read_bytes() == clean


@pytest.mark.parametrize("missing", ["settings.json", "scores.json", "stream.json", "environment.json"])
def test_a_folder_that_is_no_whole_run_is_named(make_run, copied, missing):
    folder = copied(make_run(), name="broken")
    (folder / missing).unlink()
    with pytest.raises(StateError, match=f"broken.*{missing}|{missing}.*broken"):
        write_report(folder)


@pytest.mark.parametrize("damaged", ["settings.json", "scores.json", "stream.json", "rejected.jsonl"])
def test_a_damaged_file_is_named(make_run, copied, damaged):
    folder = copied(make_run(), name="broken")
    (folder / damaged).write_text('{"stages": [')
    with pytest.raises(StateError, match=damaged):
        write_report(folder)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(StateError, match="nowhere is not a run"):
        write_report(tmp_path / "nowhere")


def test_a_report_that_cannot_be_made_leaves_the_old_one(folder, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    before = write_report(copy).read_bytes()
    (copy / "scores.json").write_text("{}")
    with pytest.raises(StateError):
        write_report(copy)
    assert (copy / "report.html").read_bytes() == before
