"""The page in a real browser: searched, listened to, decided on; by keyboard, narrow, light and dark."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from tests.service import things
from tests.service.browsing import CONTRASTS, UNNAMED, browser, serving
from tests.service.conftest import QUESTION, centre, manifest, npy

from polymnia.growing.indexing import OWN, data_of
from polymnia.growing.polymnia import Polymnia
from polymnia.serving.content import load_source
from polymnia.serving.index import build_index

pytestmark = pytest.mark.bundled("efficientnet-lite0", "minilm", "openwakeword", "efficientnet-lite0-frames")
WIDTHS = "() => [document.documentElement.scrollWidth, window.innerWidth]"


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(chromium, seen):
    with serving(seen.folder.path) as address:
        yield address


@pytest.fixture
def opened(chromium):
    """Return a function that opens an address, with a list of what went wrong and where requests went."""
    contexts = []

    def open_at(address, **options):
        context = chromium.new_context(**{"permissions": ["microphone"], "reduced_motion": "reduce", **options})
        contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.wrong, page.asked = [], []
        page.on("console", lambda said: page.wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(address)
        return page

    yield open_at
    for context in contexts:
        context.close()


@pytest.fixture
def page(opened, address):
    """Return the page, open; it ends without an error and without a request to anywhere else."""
    page = opened(address)
    page.get_by_role("heading", name="0001-spring", level=1).wait_for()
    yield page
    assert not page.wrong
    assert page.asked and all(url.startswith((f"{address}/", f"blob:{address}/")) for url in page.asked), page.asked


def pictures(page):
    """Return of every picture among the answers, once all are there, its name and whether it was drawn."""
    page.locator("#answers .look").first.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('#answers .look')].every((each) => each.children.length)"
    )
    page.wait_for_function("() => [...document.querySelectorAll('#answers img')].every((each) => each.complete)")
    return page.eval_on_selector_all("#answers img", "all => all.map((each) => [each.alt, each.naturalWidth > 0])")


def test_pictures_sounds_and_films_are_found_by_typing(page):
    page.get_by_label("A text").fill("something green")
    page.get_by_label("among").select_option("image")
    page.get_by_role("button", name="Find what is like it").click()
    page.get_by_text("found, the most alike first").wait_for()
    seen = pictures(page)
    assert page.locator("#answers li").count() == 10 and seen[0][0].endswith(": green")
    assert len(seen) >= 8 and all(drawn for _, drawn in seen), "but for arrays, which have no file"
    assert page.locator("#answers li").first.get_by_text("image · green · alike").count() == 1
    page.get_by_label("among").select_option("video")
    page.get_by_role("button", name="Find what is like it").click()
    page.get_by_role("button", name="Play the film of spring-red-0").click()
    page.wait_for_function("() => document.querySelector('#answers video')?.videoWidth === 64")
    assert len(pictures(page)) == 4, "each film is shown by its middle"
    page.get_by_role("button", name="Play the film of spring-red-1").click()
    page.get_by_text("cannot be played: the film is of a kind that browsers do not play").wait_for()
    page.wrong = [said for said in page.wrong if "404" not in said]


def test_it_is_searched_by_a_file_and_by_the_microphone(page):
    page.get_by_label("A file").set_input_files(
        {"name": "new.png", "mimeType": "image/png", "buffer": things.picture("red", 99)}
    )
    page.get_by_alt_text("the picture new.png").wait_for()
    page.get_by_role("button", name="Find what is like it").click()
    page.get_by_text("found, the most alike first").wait_for()
    assert pictures(page)[0][0].endswith(": red")
    page.get_by_role("button", name="What is it?").click()
    page.get_by_text("red (version 0001-spring)").wait_for()
    page.get_by_role("button", name="Leave it out").click()
    page.get_by_role("button", name="Find what is like it").click()
    page.get_by_text("Error: there is nothing to ask about yet").wait_for()

    page.get_by_role("button", name="Record a sound").click()
    stop = page.get_by_role("button", name="Stop recording")
    page.wait_for_timeout(1500)  # the browser's own microphone beeps once a second
    assert stop.get_attribute("aria-pressed") == "true"
    stop.click()
    page.get_by_text("Recorded.").wait_for()
    page.get_by_label("among").select_option("audio")
    page.get_by_role("button", name="Find what is like it").click()
    page.get_by_text("found, the most alike first").wait_for()
    page.get_by_role("button", name="Play the sound").first.click()
    page.wait_for_function("() => document.querySelector('#answers audio')?.duration > 0.4")


def test_it_is_used_by_keyboard_alone(page):
    def focused():
        return page.evaluate(
            "() => [document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle,"
            " document.activeElement.getBoundingClientRect().left >= 0]"
        )

    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "To the content"
    assert focused()[1:] == ["solid", True], "the link is seen while it has the focus"
    page.keyboard.press("Enter")
    assert focused()[0] == "main"
    page.keyboard.press("Tab")
    assert focused()[0] == "text"
    page.keyboard.type("something red")
    seen = []
    while "within" not in seen:
        page.keyboard.press("Tab")
        seen.append(focused()[0])
        assert focused()[1] == "solid" and len(seen) < 8
    assert seen == ["file", "record", "search", "within"]
    page.keyboard.type("audio")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.get_by_text("found, the most alike first").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Play the sound"
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.tagName === 'AUDIO' && document.activeElement.duration > 0.4")


def test_a_screen_reader_has_names_for_everything(page):
    for name in ("Ask", "Waiting for a decision", "What it kept", "What each stage cost", "History"):
        page.get_by_role("region", name=name).first.wait_for()
    for role in ("banner", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.evaluate(UNNAMED) == []
    assert page.eval_on_selector_all("[tabindex]", "all => all.filter((each) => each.tabIndex > 0).length") == 0
    assert page.eval_on_selector_all("[onclick], div[role=button], a:not([href])", "all => all.length") == 0
    levels = page.eval_on_selector_all("h1, h2, h3", "all => all.map((each) => Number(each.tagName[1]))")
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    matrix = page.get_by_role("region", name="What it kept").get_by_role("table")
    matrix.first.wait_for()
    assert matrix.first.get_by_role("columnheader").all_inner_texts() == ["after", "01-spring"]
    assert matrix.first.get_by_role("rowheader").all_inner_texts() == ["01-spring"]
    assert matrix.first.get_by_role("cell").all_inner_texts() == ["100.0"], "told in words, not by its colour alone"
    assert page.get_by_role("region", name="What each stage cost").get_by_role("columnheader").count() == 9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_light_and_dark_and_narrow(opened, address, scheme):
    page = opened(address, color_scheme=scheme, viewport={"width": 360, "height": 740})
    page.get_by_label("A text").fill("something red")
    page.get_by_role("button", name="Find what is like it").click()
    page.get_by_text("found, the most alike first").wait_for()
    page.get_by_text("samples of 01-spring broke").click()
    page.get_by_label("among").select_option("image")
    page.get_by_role("button", name="Find what is like it").click()
    assert pictures(page)
    page.get_by_label("A text").fill("")  # what it may hold is written there
    found = page.evaluate(CONTRASTS)
    assert len(found) > 60 and found[0][0] >= 4.5, found[:3]
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 22, 27)"}[scheme]
    wide, window = page.evaluate(WIDTHS)
    assert wide <= window == 360
    assert page.evaluate("() => document.getAnimations().length") == 0
    assert not page.wrong


def test_a_version_that_waits_is_accepted_with_the_token(opened, chromium, seen, tmp_path):
    path = shutil.copytree(seen.folder.path, tmp_path / "model")
    with serving(path, token="secret", refresh=0.05) as address:
        page = opened(address)
        page.get_by_role("heading", name="A token is needed").wait_for()
        assert not page.get_by_label("A text").is_visible()
        page.get_by_role("textbox", name="Token").fill("guessed")
        page.keyboard.press("Enter")
        page.get_by_text("Error: this is not the token").wait_for()
        page.get_by_role("textbox", name="Token").fill("secret")
        page.keyboard.press("Enter")
        waits = page.get_by_role("article", name="0002-autumn")
        waits.get_by_text("It does not keep to the limits:").wait_for()
        assert "01-spring: accuracy drops by" in waits.get_by_role("listitem").first.inner_text()
        broke = waits.get_by_text("samples of 01-spring broke")
        broke.click()
        assert waits.get_by_role("rowheader", name="spring-red-0").is_visible()
        page.get_by_label("A text").fill("something red")
        page.get_by_label("among").select_option("image")
        page.get_by_role("button", name="Find what is like it").click()
        page.get_by_text("found, the most alike first").wait_for()
        drawn = [drawn for _, drawn in pictures(page)]
        assert drawn and all(drawn), "the token goes along with each thumbnail"
        page.get_by_label("Who decides").fill("ann")
        waits.get_by_role("button", name="Accept against the verdict: 0002-autumn").click()
        page.get_by_text("0002-autumn is accepted.").wait_for()
        page.get_by_role("heading", name="0002-autumn", level=1).wait_for()
        assert page.evaluate("() => document.activeElement.id") == "decided"
        newest = page.get_by_role("region", name="History").get_by_role("row").nth(1)
        assert [newest.get_by_role("cell").nth(n).inner_text() for n in (1, 2, 3)] == [
            "overridden",
            "0002-autumn",
            "ann",
        ]
        assert page.get_by_text("This version has no index yet").is_visible()
        assert page.get_by_role("region", name="What it kept").first.get_by_role("rowheader").count() == 2
        page.get_by_role("button", name="Forget the token").click()
        page.get_by_role("heading", name="A token is needed").wait_for()
        assert all("401" in said for said in page.wrong)


def test_it_fits_what_the_model_knows(opened, chromium, tmp_path):
    trainer = {"epochs": 1, "count_flops": False}
    encoders = {"left": {"name": "identity"}, "right": {"name": "identity"}}
    model = Polymnia.new(tmp_path / "model", encoders=encoders, method="ncm", trainer=trainer)
    for name, labels in (("spring", ["ash", "elm"]), ("autumn", ["oak"])):
        path = manifest(tmp_path / f"{name}.jsonl", labels)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row["left"] = row["right"] = row.pop("features")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        data = {"name": "manifest", "path": str(path), "kinds": {"left": "table", "right": "table"}}
        model.learn(data, name=name, ask=name == "autumn", limits={"drop": 1.0})
    with serving(model.folder.path) as address:
        page = opened(address)
        page.get_by_text("This version has no index yet").wait_for()
        for name in ("A text", "among"):
            assert not page.get_by_label(name, exact=True).is_visible()
        assert not page.locator("#record").is_visible(), "nothing here is heard"
        page.get_by_label("A file").set_input_files({"name": "p.npy", "mimeType": "", "buffer": npy("elm")})
        page.get_by_label("It is").select_option("right")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="What is it?").click()
        page.get_by_text("elm (version 0001-spring)").wait_for()
        page.get_by_role("button", name="Reject: 0002-autumn").click()
        page.get_by_text("0002-autumn is rejected.").wait_for()
        page.get_by_role("heading", name="Waiting for a decision").wait_for(state="hidden")
        newest = page.get_by_role("region", name="History").get_by_role("row").nth(1)
        assert newest.get_by_role("cell").nth(1).inner_text() == "rejected"
        assert not page.wrong
    with serving(model.folder.current) as address:
        page = opened(address)
        page.get_by_role("heading", name="0001-spring").wait_for()
        page.get_by_role("region", name="What it kept").first.wait_for()
        assert not page.get_by_role("heading", name="History").is_visible() and not page.wrong


def test_without_a_microphone_no_button_offers_one(opened, address):
    page = opened(address)
    page.add_init_script("delete window.MediaRecorder")
    page.reload()
    page.get_by_label("A text").wait_for()
    assert not page.locator("#record").is_visible()


def test_a_model_that_writes_is_asked_a_question_or_for_a_caption(opened, writer):
    with serving(writer.folder.path) as address:
        page = opened(address)
        page.get_by_label("A question about it").fill(QUESTION)
        page.get_by_label("A file").set_input_files({"name": "p.npy", "mimeType": "", "buffer": npy("blue")})
        page.get_by_role("button", name="What is it?").click()
        page.get_by_text("blue (version 0001-colours)").wait_for()
        page.get_by_label("A question about it").fill("")
        caption = writer.answer({"features": [centre("red")]})[0].text or "Nothing"
        page.get_by_label("A file").set_input_files({"name": "p.npy", "mimeType": "", "buffer": npy("red")})
        page.get_by_role("button", name="What is it?").click()
        page.get_by_text(f"{caption} (version 0001-colours)").wait_for()


def test_a_space_is_searched_and_not_asked_what_a_thing_is(opened, tmp_path):
    path, random = tmp_path / "pairs.jsonl", np.random.default_rng(0)
    rows = [
        {"id": f"p{n}", "table": (a := random.normal(0, 1, 8)).tolist(), "pixels": (a * 2).tolist()} for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = Polymnia.new(
        tmp_path / "space", encoders={"table": "identity", "pixels": "identity"}, method="comet",
        model={"name": "shared-space", "mediator": "table", "width": 8}, trainer={"epochs": 1, "count_flops": False},
    )  # fmt: skip
    model.learn(path)
    used = model.folder.current
    build_index(used, load_source(data_of(model.folder, used)), name=OWN)
    with serving(model.folder.path) as address:
        page = opened(address)
        page.get_by_label("A file").set_input_files({"name": "p.npy", "mimeType": "", "buffer": npy("elm")})
        page.get_by_label("It is").select_option("pixels")
        page.get_by_role("button", name="Find what is like it").click()
        page.get_by_text("found, the most alike first").wait_for()
        assert not page.get_by_role("button", name="What is it?").is_visible()
