"""An index on object storage, here a server of this machine that speaks S3: versions a stage as on disk."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec

import pytest

from polymnia.errors import SettingsError, StateError
from polymnia.serving.index import build_index
from polymnia.serving.search import Searcher
from polymnia.serving.storage import OPTIONS, address, options
from polymnia.serving.table import TABLE, indexed, where
from polymnia.training.run import Run
from polymnia.training.settings import run_settings

SERVER = "POLYMNIA_TEST_S3_SERVER"
"""In the environment: the command `moto_server`, where it is installed apart."""


def server() -> list[str] | None:
    """Return the command that starts a server, or None: it is not installed."""
    apart = os.environ.get(SERVER) or shutil.which("moto_server")
    own = [sys.executable, "-m", "moto.server"] if find_spec("moto") and find_spec("flask") else None
    return [apart] if apart else own


@pytest.fixture(scope="module")
def s3():
    """Return the endpoint of a server with an empty bucket."""
    command = server()
    if command is None:
        pytest.skip(f"no local S3 server: install moto[server] in an environment of its own, and set {SERVER} to its "
                    "moto_server")  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    running = subprocess.Popen([*command, "-H", "127.0.0.1", "-p", endpoint.rpartition(":")[2]],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})  # fmt: skip
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT"), timeout=5).close()
            break
        except (urllib.error.URLError, ConnectionError):
            assert running.poll() is None and time.monotonic() < until
            time.sleep(0.1)
    yield endpoint
    running.terminate()
    running.wait()


@pytest.fixture
def storage(s3, tmp_path, monkeypatch):
    """Tell LanceDB where the server is, by a settings file."""
    path = tmp_path / "storage.yaml"
    path.write_text(f"endpoint: {s3}\nallow_http: true\nregion: us-east-1\n"
                    "access_key_id: testing-key\nsecret_access_key: testing-secret\n")  # fmt: skip
    monkeypatch.setenv(OPTIONS, str(path))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    stream = {"name": "digits", "modalities": ["pixels"], "stages": 2}
    Run(run_settings({"stream": stream, "method": "ncm", "trainer": {"count_flops": False}}), folder).go()
    return folder


def answers(folder, stage=None):
    searcher = Searcher(folder, stage=stage, often=False)
    held = searcher.table.search().limit(1).to_arrow()["vector"][0].values.to_numpy()
    found = searcher.table.search(held, vector_column_name="vector").distance_type("cosine").limit(5).to_list()
    return [(row["id"], row["stage"], round(row["_distance"], 5)) for row in found]


def test_it_is_the_index_on_disk_elsewhere(run, storage, tmp_path):
    copies = [shutil.copytree(run, tmp_path / name) for name in ("disk", "remote")]
    stages = sorted(path.name for path in (run / "stages").iterdir())
    for stage in stages:
        build_index(copies[0], stage=stage)
        build_index(copies[1], stage=stage, to="s3://bucket/runs/digits/" if stage == stages[0] else None)
    assert list(map(vars, indexed(copies[1]).values())) == list(map(vars, indexed(copies[0]).values()))
    assert not (where(copies[1]) / f"{TABLE}.lance").exists()
    for stage in stages:
        assert [row[1] for row in answers(copies[1], stage)] == [stage] * 5
        assert answers(copies[1], stage) == answers(copies[0], stage)
    beside = b"".join(path.read_bytes() for path in where(copies[1]).rglob("*") if path.is_file())
    assert b"s3://bucket/runs/digits" in beside and b"testing-" not in beside
    again = build_index(copies[1], stage=stages[1])
    assert vars(again) == vars(indexed(copies[0])[stages[1]])

    with pytest.raises(SettingsError, match=r"is in s3://bucket/runs/digits, and s3://bucket/other is given"):
        build_index(copies[1], to="s3://bucket/other")
    other = shutil.copytree(run, tmp_path / "other")
    with pytest.raises(StateError, match=r"holds an index already, which is not this run's"):
        build_index(other, to="s3://bucket/runs/digits")


def test_the_command(run, storage, tmp_path, command):
    folder = shutil.copytree(run, tmp_path / "run")
    done = command("index", folder, "--to", "s3://bucket/commanded")
    assert done.returncode == 0 and "in s3://bucket/commanded" in done.stdout, done.stderr
    said = json.loads(command("index", folder, "--json").stdout)
    assert said["at"] == "s3://bucket/commanded" and said["rows"] > 0


def test_an_address_is_a_bucket_and_a_prefix_alone(tmp_path, monkeypatch):
    assert address("gs://b/p/") == "gs://b/p"
    for given in ("bucket/p", "ftp://b/p", "s3://", "s3:///"):
        with pytest.raises(SettingsError, match="Accepted: s3://bucket/prefix, gs://"):
            address(given)
    with pytest.raises(SettingsError, match="keys and options belong in the environment"):
        address("s3://key:secret@bucket/p")
    path = tmp_path / "o.yaml"
    path.write_text("allow_http: true\ntimeout: 5\n")
    monkeypatch.setenv(OPTIONS, str(path))
    assert options() == {"allow_http": "true", "timeout": "5"}
    path.write_text("aws: {key: 1}\n")
    with pytest.raises(SettingsError, match="aws must be a text"):
        options()
