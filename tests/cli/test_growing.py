"""A model in use, as a user types it: from an empty folder to a stage that is kept aside and rolled back."""

import csv
import json

import numpy as np
import pytest
from PIL import Image as Pillow

QUICK = ["trainer.epochs=6", "trainer.lr=0.01", "trainer.count_flops=false"]
ENCODERS = "image=efficientnet-lite0,text=minilm"

pytestmark = pytest.mark.bundled


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Write photographs of four colours, and return a function that writes a manifest of some with captions."""
    folder = tmp_path_factory.mktemp("photos")
    shades = {"red": (200, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 200), "grey": (120, 120, 120)}
    random = np.random.default_rng(0)
    for label, shade in shades.items():
        for number in range(12):
            pixels = np.clip(np.array(shade) + random.normal(0, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            Pillow.fromarray(pixels).save(folder / f"{label}-{number}.png")

    def manifest(name, labels):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "text", "label"])
            writer.writerows([f"{label}-{n}.png", f"a thing in {label}", label] for label in labels for n in range(12))
        return folder / f"{name}.csv"

    return manifest


@pytest.fixture(scope="module")
def grown(photos, command, tmp_path_factory):
    """Return a model that has learned two stages."""
    model = tmp_path_factory.mktemp("models") / "things"
    made = command("new", model, "--method", "ncm", "--encoders", ENCODERS, *QUICK)
    assert made.returncode == 0 and f"polymnia learn {model} DATA" in made.stdout, made.stderr
    first = command("learn", model, photos("spring", ["red", "green"]), "--by", "ann")
    assert first.returncode == 0 and "0001-spring: accepted, and in use" in first.stdout, first.stderr
    words = ("--name", "autumn days", "--by", "ann", "limits.drop=1")
    second = command("learn", model, photos("autumn", ["blue"]), *words)
    assert second.returncode == 0 and "0002-autumn-days: accepted" in second.stdout, second.stderr
    return model


def test_what_happened_is_told(grown, command):
    told = json.loads(command("history", grown, "--json").stdout)
    assert [entry["version"] for entry in told["history"]][:2] == ["0001-spring", "0002-autumn-days"]
    assert {entry["by"] for entry in told["history"]} == {"ann"}
    assert set(told["history"][1]["scores"]) == {"01-spring", "02-autumn-days"}
    shown = command("history", grown).stdout
    assert "accepted" in shown and "0002-autumn-days" in shown


def test_files_and_texts_are_told_apart_and_may_be_one_thing(grown, photos, command):
    folder = photos("spring", ["red", "green"]).parent
    told = json.loads(command("predict", grown, folder / "red-1.png", "a thing in green", "--json").stdout)
    assert [each["classes"][0][0] for each in told] == ["red", "green"]
    one = command("predict", grown, f"image={folder / 'blue-1.png'}", "text=a thing in blue", "--json")
    assert len(said := json.loads(one.stdout)) == 1 and said[0]["classes"][0][0] == "blue"


def test_verbs_of_runs_take_the_version_in_use(grown, photos, command):
    done = command("evaluate", grown, "--data", photos("spring", ["red", "green"]))
    assert done.returncode == 0 and "accuracy 1.000 over 24 samples" in done.stdout, done.stderr
    assert "report.html" in command("report", grown).stdout


def test_back_and_forth(grown, command):
    assert command("rollback", grown, "spring", "--by", "ann").stdout.strip() == "In use: 0001-spring"
    assert command("rollback", grown, "2", "--by", "ann").stdout.strip() == "In use: 0002-autumn-days"
    wrong = command("rollback", grown, "winter")
    assert wrong.returncode == 2 and "no such accepted version: 'winter'" in wrong.stderr


def test_what_is_kept_aside_ends_with_3_and_says_what_broke(photos, command, tmp_path):
    model = tmp_path / "things"
    command("new", model, "--method", "finetune", "--encoders", ENCODERS, *QUICK)
    command("learn", model, photos("spring", ["red", "green"]))
    done = command("learn", model, photos("autumn", ["blue", "grey"]), "limits.drop=0")
    assert done.returncode == 3 and "! 01-spring: accuracy drops by" in done.stdout
    assert "0002-autumn: kept aside; the model in use is as it was" in done.stdout
    page = (model / "aside/0002-autumn/verdict.html").read_text()
    assert "It does not keep to the limits." in page and "Was right, is wrong" in page
    assert "data:image/jpeg;base64," in page and "a thing in " in page
    taken = command("accept", model, "0002-autumn", "--by", "bo")
    assert taken.stdout.strip() == "In use: 0002-autumn"


def test_what_it_learned_from_is_found(grown, command):
    made = command("index", grown)
    assert made.returncode == 0, made.stderr
    found = json.loads(command("search", grown, "a thing in blue", "--in", "text", "-k", "1", "--json").stdout)
    [hit] = found if isinstance(found, list) else found["hits"]
    assert hit["value"] == "a thing in blue" and hit["id"].startswith("02-autumn-days/") and hit["label"] == "blue"
