import json

import numpy as np
import pytest

from polymnia.growing.polymnia import Polymnia


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a manifest of points around a centre a class."""

    def write(name, classes, *, each=20, noise=0.3, seed=0, modality="features", **columns):
        random, path = np.random.default_rng(seed), tmp_path / f"{name}.jsonl"
        rows = []
        for label in classes:
            centre = np.random.default_rng(sum(map(ord, label))).normal(0, 3, 8)
            for number in range(each):
                point = (centre + random.normal(0, noise, 8)).round(4).tolist()
                rows.append({"id": f"{name}-{label}-{number}", modality: point, "label": label, **columns})
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def fresh(tmp_path):
    """Return a function that makes an empty model."""

    def make(method="replay", **settings):
        given = {"encoders": {"features": "identity"}, "trainer": {"epochs": 8, "lr": 0.01, "count_flops": False}}
        return Polymnia.new(tmp_path / "model", **{**given, "method": method, **settings})

    return make
