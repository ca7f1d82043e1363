"""`polymnia evaluate` as a user types it."""

import json

import pytest

from polymnia.training.run import Run
from polymnia.training.settings import run_settings


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A space and a classifier over digits."""
    folder = tmp_path_factory.mktemp("runs")
    pairs = {"name": "digits", "modalities": ["pixels", "spectrum"], "scenario": "pairing", "mediator": "pixels"}
    model = {"name": "shared-space", "width": 16, "mediator": "pixels"}
    Run(run_settings({"stream": pairs, "model": model, "trainer": {"epochs": 2}}), folder / "space").go()
    classes = {"name": "digits", "modalities": ["pixels"], "stages": 2}
    Run(run_settings({"stream": classes, "method": "ncm"}), folder / "classes").go()
    return folder


@pytest.fixture
def evaluate(command):
    """Return a function that types the rest of `polymnia evaluate`."""
    return lambda *words: command("evaluate", *words)


def test_a_space(runs, evaluate):
    done = evaluate(runs / "space", "--data", "digits", "modalities=[pixels,spectrum]", "--json")
    said = json.loads(done.stdout)
    assert [(way["from"], way["to"]) for way in said["retrieval"]] == [("pixels", "spectrum"), ("spectrum", "pixels")]
    assert said["data"] == {"name": "digits", "modalities": ["pixels", "spectrum"]} and said["set aside"] == 0
    shown = evaluate(runs / "space", "--data", "digits", "modalities=[pixels,spectrum]")
    assert shown.returncode == 0 and "pixels → spectrum" in shown.stdout and said["weights"][:12] in shown.stdout
    assert f"{said['retrieval'][0]['R@10']:.3f}" in shown.stdout and "may have seen" in shown.stderr


def test_a_classifier(runs, evaluate):
    words = (runs / "classes", "--data", "digits", "modalities=[pixels]", "--stage")
    stages = [stage["name"] for stage in json.loads((runs / "classes" / "stream.json").read_text())["stages"]]
    said = json.loads(evaluate(*words, stages[0], "--json").stdout)
    assert said["classification"]["known classes"] == 5 == len(said["classification"]["by class"])
    assert said["left out"] + said["classification"]["of"] == said["samples"] == 1797
    shown = evaluate(*words, stages[0])
    assert f"accuracy {said['classification']['accuracy']:.3f}" in shown.stdout and "left out" in shown.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "digits", "modality=[pixels]"], "no such setting of 'digits'. Did you mean 'modalities'"),
        (["digits", "modality=[pixels]"], "no such setting of 'digits'. Did you mean 'modalities'"),
        (["--data", "digits"], "Accepted: pixels (table), spectrum (table)."),
        ([], "--data"),
    ],
)
def test_what_is_wrong_is_said(runs, words, said, evaluate):
    done = evaluate(runs / "space", *words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
