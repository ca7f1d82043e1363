from polymnia.experiments.doing import _without_weights


def test_weights_go_and_what_probes_wrote_stays(tmp_path):
    for name in ("01-a", "02-b"):
        (tmp_path / "stages" / name).mkdir(parents=True)
        for file in ("tensors.safetensors", "state.json"):
            (tmp_path / "stages" / name / file).write_text("x")
    (tmp_path / "stages/02-b/examples.json").write_text("{}")
    (tmp_path / "state/000001").mkdir(parents=True)
    _without_weights(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "stages", "stages/02-b", "stages/02-b/examples.json",
    ]  # fmt: skip
