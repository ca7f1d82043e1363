"""Own data through the command: what is broken is set aside and counted, or said clearly; never a traceback."""

import csv
import json

import numpy as np
import pytest


@pytest.fixture
def own(tmp_path, command):
    """Return a function that writes a manifest of 100 feature files in four classes, some of them broken."""

    def write(broken: int, damage):
        draws = np.random.default_rng(0)
        rows = []
        for i in range(100):
            name = f"features/{i}.npy"
            (tmp_path / "features").mkdir(exist_ok=True)
            np.save(tmp_path / name, (draws.normal(size=4) + 5 * np.eye(4)[i % 4]).astype(np.float32))
            rows.append({"id": f"row-{i}", "table": name, "label": "abcd"[i % 4], "stage": f"{i % 4 // 2}"})
        for i in range(broken):
            damage(tmp_path / rows[i]["table"], rows[i])
        with (tmp_path / "data.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        settings = {"stream": {"name": "manifest", "path": str(tmp_path / "data.csv"), "scenario": "given"},
                    "method": {"name": "replay", "memory": 20}, "trainer": {"epochs": 20, "lr": 0.01}}  # fmt: skip
        (tmp_path / "run.yaml").write_text(json.dumps(settings))
        return command("run", tmp_path / "run.yaml", "--out", tmp_path / "run"), tmp_path / "run"

    return write


def cut(path, row):
    path.write_bytes(path.read_bytes()[:-3])


def gone(path, row):
    path.unlink()


def not_a_number(path, row):
    np.save(path, np.array([0, np.nan, 0, 0], dtype=np.float32))


def wrong_type(path, row):
    np.save(path, np.array(["a", "b"]))


def no_label(path, row):
    row["label"] = ""


@pytest.mark.parametrize("damage", [cut, gone, not_a_number, wrong_type, no_label])
def test_a_broken_row_is_set_aside_with_a_reason_and_counted(own, damage):
    done, folder = own(1, damage)
    assert done.returncode == 0, done.stderr
    assert "1 samples set aside" in done.stdout or "1 sample set aside" in done.stdout
    rejected = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rejected] == ["row-0"] and rejected[0]["reason"]
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["rejected"] == 1 and len(scores["stages"]) == 2 and scores["learning_accuracy"] > 0.9


@pytest.mark.parametrize("damage", [cut, gone, no_label])
def test_mostly_broken_data_ends_with_a_clear_word(own, damage):
    done, folder = own(60, damage)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "60 of 100 samples are broken" in done.stderr and "max_rejected" in done.stderr
    assert not (folder / "scores.json").exists()
