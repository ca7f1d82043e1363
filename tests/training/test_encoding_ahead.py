import json

import numpy as np
import pytest

from polymnia.encoders.cache import TOTAL
from polymnia.errors import SettingsError
from polymnia.training.encoding_ahead import encode_ahead
from polymnia.training.run import Run
from polymnia.training.settings import run_settings


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A manifest of clouds of points in two classes, one of them broken, and an empty cache."""
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))
    TOTAL.clear()
    rows, random = ["shape,label"], np.random.default_rng(0)
    for i in range(20):
        np.save(tmp_path / f"{i}.npy", random.normal(size=(40, 3)).astype(np.float32) * (1 + i % 2))
        rows.append(f"{i}.npy,{'ab'[i % 2]}")
    np.save(tmp_path / "19.npy", np.full((40, 3), np.nan, np.float32))
    path = tmp_path / "data.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.bundled("shape-descriptors")
def test_a_later_run_computes_nothing(data, tmp_path, command):
    config = tmp_path / "run.yaml"
    stream = {"name": "manifest", "path": str(data), "kinds": {"shape": "point-cloud"}, "stages": 2}
    config.write_text(json.dumps({"stream": stream, "method": "ncm", "trainer": {"count_flops": False}}))
    done = encode_ahead(str(config), [])["shape"]
    assert (done.encoder, done.values, done.computed, done.found) == ("shape-descriptors", 20, 19, 0)
    assert len(done.broken) == 1
    computed = TOTAL.computed["shape-descriptors"]
    Run(run_settings(json.loads(config.read_text())), tmp_path / "run").go()
    assert TOTAL.computed["shape-descriptors"] == computed == 19
    shown = command("encode", data, "kinds={shape: point-cloud}", "--encoders", "shape=shape-descriptors")
    assert shown.returncode == 0 and "broken: " in shown.stdout and "shape-descriptors" in shown.stdout, shown.stderr
    said = json.loads(command("encode", config, "--json").stdout)
    assert (said["shape"]["computed"], said["shape"]["found"], len(said["shape"]["broken"])) == (0, 19, 1)


@pytest.mark.bundled("minilm", "shape-descriptors")
def test_what_does_not_fit_is_said(data):
    kinds = ["kinds={shape: point-cloud}"]
    with pytest.raises(SettingsError, match="one process; use --engine ray"):
        encode_ahead(str(data), kinds, workers=4)
    with pytest.raises(SettingsError, match=r"cloud given, and the data has shape"):
        encode_ahead(str(data), kinds, encoders={"cloud": "shape-descriptors"})
    with pytest.raises(SettingsError, match=r"'minilm' reads text, and 'shape' is point-cloud"):
        encode_ahead(str(data), kinds, encoders={"shape": "minilm"})
