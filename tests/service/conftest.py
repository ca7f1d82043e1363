import io
import json

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.service import things

from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset
from polymnia.growing.polymnia import Polymnia
from polymnia.service.app import create_app
from polymnia.service.settings import ServiceSettings
from polymnia.serving.content import read_data
from polymnia.serving.index import build_index

QUESTION = "what colour is it ?"


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


@pytest.fixture(scope="session")
def writer(tmp_path_factory, new_writer):
    """Return a model that answers which of two colours a point has."""
    folder = tmp_path_factory.mktemp("writer")
    rows = [
        {"id": f"{colour}-{n}", "features": (centre(colour) + n / 50).tolist(), "question": QUESTION, "answer": colour}
        for colour in ("red", "blue")
        for n in range(20)
    ]
    (folder / "colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = new_writer(folder / "model")
    made.learn(folder / "colours.jsonl")
    return made


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


ENCODERS = {
    "image": "efficientnet-lite0", "text": "minilm", "audio": "openwakeword", "video": "efficientnet-lite0-frames",
}  # fmt: skip


@pytest.fixture(scope="session")
def seen(tmp_path_factory):
    """Return a model of pictures, texts, sounds and films with an index; another version waits. Not to be changed."""
    folder = tmp_path_factory.mktemp("seen")
    trainer = {"epochs": 4, "lr": 0.003, "count_flops": False}
    model = {"name": "classifier", "width": 32}
    grown = Polymnia.new(folder / "model", encoders=ENCODERS, model=model, method="finetune", trainer=trainer)
    path = things.manifest(folder / "spring", "spring", ["red", "green"])
    assert grown.learn(path).accepted
    name, data = read_data(str(path))
    build_index(grown.folder.current, data, name=name)
    build_index(grown.folder.current, of_arrays(), name="arrays")
    build_index(grown.folder.current, of_arrays(), name="others")
    grown.learn(things.manifest(folder / "autumn", "autumn", ["blue"]), ask=True)
    return grown


def of_arrays() -> Dataset:
    """Return a data set without files: numbers, and a text that looks like a path."""
    pixels = np.full((8, 8, 3), 90, np.uint8)
    rows = [Sample("it's", {"image": pixels, "text": "/etc/passwd"})]
    return Dataset(samples=Samples.of(rows), class_names=(), kinds={"image": "image", "text": "text"})
