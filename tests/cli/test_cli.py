"""The command as a user types it."""

import json
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "polymnia"]
SMALL = ["stream.stages=2", "trainer.epochs=1", "model.width=8"]


def started(*words):
    """Type a command in a process of its own."""
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def polymnia(command):
    """Return a function that types a command, in this process."""
    return command


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "quick.yaml"
    path.write_text("stream: {name: digits, scenario: class-incremental, stages: 5}\nmethod: {name: finetune}\n")
    return path


@pytest.fixture(scope="module")
def run(quick, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    done = started("run", quick, *SMALL, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_run_says_what_it_found_and_where(run):
    folder, said = run
    assert "final average" in said and "forgetting" in said and "learning accuracy" in said
    assert str(folder / "scores.json") in said and (folder / "report.html").is_file()
    assert json.loads((folder / "scores.json").read_text())["stages"][0].startswith("01-")


def test_resume_report_and_compare(run, tmp_path, polymnia):
    folder, _ = run
    assert polymnia("resume", folder).returncode == 0
    (folder / "report.html").unlink()
    assert polymnia("report", folder).returncode == 0 and (folder / "report.html").is_file()
    done = polymnia("compare", folder, "--out", tmp_path / "both.html")
    assert done.returncode == 0 and "finetune" in done.stdout and (tmp_path / "both.html").is_file()
    found = json.loads(polymnia("compare", folder, "--json").stdout)
    assert found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method.strenght=3", "method.name=ewc"], "method.strenght: no such setting of 'ewc'. Did you mean 'str"),
        (["method.name=replai"], "error: method.name: no such method: 'replai'. Did you mean 'replay'?"),
        (["trainer.epochs=many"], "error: trainer.epochs: 'many' is not accepted"),
        (["stream.name=stamp"], "Did you mean 'stamps'?"),
        (["stream.stages=99"], "error: "),
        (["sed"], "error: 'sed' is not an override"),
    ],
)  # fmt: skip
def test_wrong_settings_name_key_value_and_the_nearest_right_one(quick, tmp_path, words, said, polymnia):
    done = polymnia("run", quick, *words, "--out", tmp_path / "run")
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["resume", "nowhere"], ["report", "nowhere"], ["compare", "nowhere"]])
def test_a_folder_that_is_no_run_is_named(tmp_path, words, polymnia):
    done = polymnia(*words, cwd=tmp_path)
    assert done.returncode == 1 and "nowhere" in done.stderr and "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def listed(polymnia):
    """What `polymnia streams` lists: it counts the samples of every set that is there, which takes a while."""
    return json.loads(polymnia("streams", "--json").stdout)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["hosts"], {"checkpoint", "smollm2"}),
        (["encoders"], {"efficientnet-lite0", "minilm", "openwakeword", "huggingface", "identity"}),
        (["methods"], {"finetune", "joint", "ewc", "lwf", "replay", "der++", "icarl", "slda", "ranpac"}),
    ],
)
def test_listings(polymnia, words, expected):
    rows = json.loads(polymnia(*words, "--json").stdout)
    assert expected <= {row["name"] for row in rows}
    plain = polymnia(*words)
    assert plain.returncode == 0 and all(name in plain.stdout for name in expected)


def test_every_listed_data_set_states_licence_and_citation(listed, polymnia):
    assert {"digits", "mnist", "stamps", "manifest"} <= {row["name"] for row in listed}
    assert all(row["licence"] and row["citation"] for row in listed)
    shown = polymnia("data", "list")
    assert shown.returncode == 0 and all(row["name"] in shown.stdout for row in listed)


def test_doctor_and_cache(tmp_path, monkeypatch, polymnia):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    rows = json.loads(polymnia("doctor", "--json").stdout)
    assert {"python", "torch", "cache"} <= {row["what"] for row in rows}
    assert json.loads(polymnia("cache", "--json").stdout) == []
    assert polymnia("cache", "clear").returncode == 0


def test_help_is_quick_to_print_and_names_the_verbs():
    done = started("--help")
    for verb in ("demo", "run", "resume", "compare", "report", "data", "streams", "encoders", "hosts", "methods",
                 "cache", "doctor", "reproduce", "index", "search", "evaluate"):  # fmt: skip
        assert verb in done.stdout


def test_the_readme_runs_as_written(tmp_path):
    from pathlib import Path

    text = (Path(__file__).parents[2] / "README.md").read_text()
    blocks = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path, timeout=300)
        assert done.returncode == 0, done.stderr
