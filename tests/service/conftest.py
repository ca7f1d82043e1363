import io
import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from polymnia.growing.polymnia import Polymnia
from polymnia.service.app import create_app
from polymnia.service.settings import ServiceSettings


def centre(label):
    return np.random.default_rng(sum(map(ord, label))).normal(0, 3, 8)


def manifest(path, classes, seed=0):
    """Write points around a centre a class, and return the path."""
    random = np.random.default_rng(seed)
    rows = [
        {
            "id": f"{path.stem}-{label}-{n}",
            "features": (centre(label) + random.normal(0, 0.3, 8)).tolist(),
            "label": label,
        }
        for label in classes
        for n in range(20)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def npy(label) -> bytes:
    """Return a file that holds a point in the middle of a class."""
    held = io.BytesIO()
    np.save(held, centre(label).astype(np.float32))
    return held.getvalue()


@pytest.fixture(scope="session")
def grown(tmp_path_factory):
    """Return a model that has learned two classes, and may not be changed."""
    folder = tmp_path_factory.mktemp("served")
    return begun(folder)


def begun(folder):
    trainer = {"epochs": 8, "lr": 0.01, "count_flops": False}
    model = Polymnia.new(folder / "model", encoders={"features": "identity"}, method="ncm", trainer=trainer)
    model.learn(manifest(folder / "spring.jsonl", ["ash", "elm"]))
    return model


@pytest.fixture
def serving():
    """Return a function that serves a model's folder with some limits, as a client of it."""
    open_ones = []

    def serve(model, **limits):
        app = create_app(model.folder.path, ServiceSettings(decoders=1, refresh=0.05, **limits))
        client = TestClient(app, raise_server_exceptions=False)
        open_ones.append(client)
        return client.__enter__()

    yield serve
    for client in open_ones:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def client(grown):
    """Return a client of a service with the usual limits."""
    with TestClient(create_app(grown.folder.path, ServiceSettings(decoders=1, burst=10_000))) as client:
        yield client
