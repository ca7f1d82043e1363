"""`polymnia check` as a user types it."""

import json


def test_a_manifest(command, tmp_path):
    path = tmp_path / "data.csv"
    rows = [f"word {number},{'abcd'[number % 4]}" for number in range(12)]
    path.write_text("\n".join(["caption,label", *rows, "word 3,d", "orphan,"]))
    shown = command("check", path)
    assert shown.returncode == 0 and "13 usable samples, read as manifest" in shown.stdout
    assert "4 classes: d 4, a 3, b 3, c 3" in shown.stdout and "set aside: line 15: has no label" in shown.stdout
    assert "! 1 sample with the same content as another" in shown.stdout
    asked = shown.stdout.splitlines()[-1].split("own-data.yaml ")[1]
    assert asked == f"stream.name=manifest stream.path={path} stream.scenario=class-incremental stream.stages=2"
    told = json.loads(command("check", path, "--json").stdout)
    assert told["stream"]["stages"] == 2 and told["same"]["examples"] == [["line 5", "line 14"]]


def test_what_is_no_data_says_what_is(command, tmp_path):
    done = command("check", tmp_path / "notes.odt")
    assert done.returncode == 2 and "nor a manifest, nor a folder" in done.stderr
    done = command("check", tmp_path)
    assert done.returncode == 2 and "has no folders of classes in it" in done.stderr
