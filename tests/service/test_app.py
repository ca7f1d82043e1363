"""The service, asked over HTTP: answers, refusals, and new versions taken up as it runs."""

import threading
import time

import pytest
from tests.service.conftest import begun, manifest, npy

from polymnia.errors import SettingsError
from polymnia.service.settings import ServiceSettings


def test_it_says_what_a_thing_is(client):
    answer = client.post("/predict", files={"features": npy("ash")})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["version"] == "0001-spring" and [c["name"] for c in said["classes"]] == ["ash", "elm"]
    assert sum(c["probability"] for c in said["classes"]) == pytest.approx(1, abs=1e-5) and said["broken"] == {}
    one = client.post("/predict", files={"file": npy("elm")}, data={"top": "1"}).json()
    assert [c["name"] for c in one["classes"]] == ["elm"]


def test_it_encodes_and_shows_what_is_in_use(client):
    vectors = client.post("/encode", files={"features": npy("ash")}).json()["vectors"]
    assert sum(x * x for x in vectors["features"]) == pytest.approx(1, abs=1e-4)
    told = client.get("/model").json()
    assert told["classes"] == ["ash", "elm"] and told["modalities"] == {"features": "table"}
    assert told["scores"]["matrix"] == [[1.0]] and not told["searchable"]
    history = client.get("/history").json()
    assert [entry["what"] for entry in history["history"]] == ["accepted"] and history["waiting"] == []
    assert client.get("/health").json() == {"status": "ok"}
    figures = client.get("/metrics").text
    assert 'polymnia_requests_total{path="/encode",status="200"}' in figures and 'version="0001-spring"' in figures


@pytest.mark.parametrize(
    ("send", "status", "said"),
    [
        ({"files": {"features": b"nothing"}}, 422, "features (as features): "),
        ({"files": {"features": b""}}, 422, "features: the file is empty"),
        ({"files": {"smell": b"x"}}, 422, "smell: no such field. Accepted: file, text, features"),
        ({"data": {"text": "a frog"}}, 422, "text: no such field"),
        ({"data": {"features": "1,2"}}, 422, "features: is table, and needs a file"),
        ({"data": {"top": "3"}}, 422, "there is no value"),
        ({"files": {"features": npy("ash")}, "data": {"top": "none"}}, 422, "top: 'none' is given"),
        ({"files": [("features", npy("ash")), ("features", npy("elm"))]}, 422, "features is given twice"),
        ({"files": {"file": b"\x89PNG\r\n\x1a\n" + b"\0" * 40}}, 422, "of no kind that its content tells"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, "the body is not JSON"),
        ({"json": [1]}, 422, "the body holds list"),
        ({"json": {"features": [1.0]}}, 422, "files come in a form"),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 422, "the body is text/plain"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 422, "the form cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(client, send, status, said):
    answer = client.post("/predict", **send)
    assert answer.status_code == status and said in answer.json()["error"], answer.text


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("path", "send", "status", "said"),
    [
        ("/predict", {"content": b'{"\\ud800": "x"}', "headers": JSON}, 422, "?: no such field"),
        ("/predict", {"content": b'{"a":' * 100_000, "headers": JSON}, 422, "the body is not JSON"),
        ("/predict", {"content": b'{"top": ' + b"9" * 5000 + b"}", "headers": JSON}, 422, "the body is not JSON"),
        (
            "/predict",
            {"data": {"top": "000001000" + "0" * 5000}, "files": {"features": npy("ash")}},
            422,
            "top: '00000",
        ),
        ("/search", {"data": {"k": "000001000" + "0" * 5000}, "files": {"features": npy("ash")}}, 422, "k: '00000"),
        ("/accept", {"content": b'{"version": "x", "by": "\\ud800"}', "headers": JSON}, 422, "by: Input should be"),
        ("/accept", {"content": b'{"version": NaN, "by": 1e999}', "headers": JSON}, 422, "version: Input should be"),
        ("/accept", {"content": b"[" * 100_000, "headers": JSON}, 400, "error parsing the body"),
        ("/accept", {"json": {"version": "x" * 100_000}}, 422, "version: String should have at most 200"),
        ("/accept", {"json": {"version": "../../x"}}, 409, "'../../x' is not kept aside"),
        ("/nothing", {"json": {}}, 404, "Not Found"),
        ("/history", {"json": {}}, 405, "Method Not Allowed"),
    ],
)
def test_what_upsets_readers_of_text_is_refused_with_its_reason(client, grown, path, send, status, said):
    answer = client.post(path, **send)
    assert answer.status_code == status and said in answer.json()["error"], answer.text
    assert str(grown.folder.path) not in answer.text, "where the model is on this machine is not told"
    assert len(answer.content) < 4096


def test_what_the_model_cannot_do_is_said(client):
    answer = client.post("/search", files={"features": npy("ash")})
    assert answer.status_code == 409 and "polymnia index" in answer.json()["error"]
    answer = client.post("/accept", json={"version": "0009-lost"})
    assert answer.status_code == 409 and "is not kept aside" in answer.json()["error"]


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200 and "http" not in page.text.replace("http-equiv", "")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in ("/page.css", "/page.js"):
        assert client.get(name).status_code == 200 and name in page.text
    assert client.get("/../app.py").status_code == 404 and client.get("/page/../app.py").status_code == 404


def test_without_the_token_nothing_is_told(grown, serving):
    client = serving(grown, token="secret")
    for path in ("/model", "/history", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 401
    assert client.post("/predict", files={"features": npy("ash")}).status_code == 401
    assert client.get("/health").status_code == 200 and client.get("/").status_code == 200
    for wrong in ("Bearer secre", "Bearer secrets", "Basic secret", "secret", ""):
        assert client.get("/model", headers={"authorization": wrong}).status_code == 401
    assert client.get("/model", headers={"authorization": "Bearer secret"}).status_code == 200
    with pytest.raises(SettingsError, match=r"0\.0\.0\.0 can be reached from elsewhere, so that a token is needed"):
        ServiceSettings(host="0.0.0.0")


def test_too_much_and_too_often_is_refused(grown, serving):
    client = serving(grown, max_bytes=4096, rate=0.001, burst=5)
    large = client.post("/predict", files={"features": b"x" * 8192})
    assert large.status_code == 413 and "4,096 bytes" in large.json()["error"]

    def drops():
        for _ in range(20):
            yield b"x" * 1024

    streamed = client.post("/predict", content=drops(), headers={"content-type": "application/json"})
    assert streamed.status_code == 413, "no length was announced"
    codes = [client.get("/health").status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]


def test_requests_at_once_are_batched_and_answered_apart(grown, serving):
    client = serving(grown, wait=0.05, burst=1000)
    answers = {}

    def ask(number):
        label = ("ash", "elm")[number % 2]
        answers[number] = client.post("/predict", files={"features": npy(label)}).json()["classes"][0]["name"] == label

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 24 and all(answers.values())
    figures = client.get("/metrics").text
    batches = float(
        next(line for line in figures.splitlines() if line.startswith("polymnia_batch_requests_count")).split()[1]
    )
    assert batches < 24


def test_a_new_version_is_taken_up_without_dropping_a_request(tmp_path, serving):
    model = begun(tmp_path)
    client = serving(model, burst=100_000, rate=10_000.0)
    codes, versions, done = [], [], threading.Event()

    def keep_asking():
        while not done.is_set():
            answer = client.post("/predict", files={"features": npy("ash")})
            codes.append(answer.status_code)
            versions.append(answer.json()["version"])

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        while not versions:
            time.sleep(0.01)
        model.learn(manifest(tmp_path / "autumn.jsonl", ["oak", "fir"], seed=1), limits={"drop": 1.0}, ask=True)
        waiting = client.get("/history").json()["waiting"]
        assert [entry["version"] for entry in waiting] == ["0002-autumn"] and waiting[0]["verdict"]["accepted"]
        assert client.post("/accept", json={"version": "0002-autumn", "by": "ann"}).json() == {"version": "0002-autumn"}
        until = time.monotonic() + 20
        while "0002-autumn" not in versions and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        done.set()
        asking.join()
    assert set(codes) == {200} and versions[0] == "0001-spring" and versions[-1] == "0002-autumn"
    assert versions == sorted(versions), "once the new one answers, the old one does no more"
    said = client.post("/predict", files={"features": npy("oak")}).json()
    assert said["classes"][0]["name"] == "oak"
    assert client.get("/history").json()["history"][-1]["by"] == "ann"
