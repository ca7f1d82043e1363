"""What a hit looks or sounds like: files that the index names, and no others."""

import io
import os

import pytest
import soundfile
from PIL import Image
from starlette.testclient import TestClient
from tests.service import things
from tests.service.conftest import begun, manifest, npy

from polymnia.service.app import create_app
from polymnia.service.content import NoContent, playable, read_within
from polymnia.service.settings import ServiceSettings
from polymnia.serving.content import read_data
from polymnia.serving.index import build_index

pytestmark = pytest.mark.bundled("efficientnet-lite0", "minilm", "openwakeword", "efficientnet-lite0-frames")


@pytest.fixture(scope="module")
def client(seen):
    with TestClient(create_app(seen.folder.path, ServiceSettings(decoders=1, burst=10_000))) as client:
        yield client


def asked(client, id, modality, **more):
    return client.get("/content", params={"id": id, "modality": modality, **more})


def test_a_hit_says_how_it_can_be_shown_and_is_shown_so(client):
    hits = client.post("/search", data={"text": "something green", "within": "image", "k": "3"}).json()["hits"]
    first = hits[0]
    assert first["label"] == "green" and first["shows"] == ["look"] and "/" not in first["value"]
    answer = asked(client, first["id"], "image", source=first["source"])
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
    seen = Image.open(io.BytesIO(answer.content))
    red, green, _ = seen.resize((1, 1)).getpixel((0, 0))
    assert seen.size == (64, 48) and green > 2 * red


def test_sounds_and_films_are_played_where_a_browser_knows_them(client, seen):
    wav, ogg, aiff = (asked(client, f"spring-red-{n}", "audio") for n in range(3))
    assert (wav.headers["content-type"], wav.content) == ("audio/wav", things.sound("red"))
    assert (ogg.headers["content-type"], ogg.content[:4]) == ("audio/ogg", b"OggS")
    assert aiff.headers["content-type"] == "audio/wav" and soundfile.info(io.BytesIO(aiff.content)).frames == 8000
    played = asked(client, "spring-red-0", "video")
    held = (seen.folder.path.parent / "spring" / "spring-red-0.film").read_bytes()
    assert (played.headers["content-type"], played.content) == ("video/webm", held)
    other = asked(client, "spring-red-1", "video")
    assert other.status_code == 404 and "browsers do not play" in other.json()["error"]
    for n in range(2):
        look = asked(client, f"spring-red-{n}", "video", how="look")
        red, green, _ = Image.open(io.BytesIO(look.content)).resize((1, 1)).getpixel((0, 0))
        assert look.headers["content-type"] == "image/jpeg" and red > 2 * green


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"id": "spring-red-9", "modality": "image"}, 404, "the index has no 'image' of a sample 'spring-red-9'"),
        ({"id": "/etc/passwd", "modality": "image"}, 404, "the index has no"),
        ({"id": "x' OR '1'='1", "modality": "image"}, 404, "the index has no"),
        ({"id": "spring-red-0", "modality": "smell"}, 404, "the index has no 'smell'"),
        ({"id": "spring-red-0\0", "modality": "image"}, 404, "the index has no"),
        ({"id": "spring-red-0", "modality": "image", "source": "another"}, 404, "the index has no"),
        ({"id": "spring-red-0", "modality": "image", "how": "play"}, 404, "image is image, which cannot be played"),
        ({"id": "it's", "modality": "image"}, 422, "several sources have a sample"),
        ({"id": "it's", "modality": "image", "source": "arrays"}, 404, "is not a file: uint8 (8, 8, 3)"),
        ({"id": "it's", "modality": "text", "source": "arrays"}, 404, "is not a file"),
        ({"id": "spring-red-0"}, 422, "modality: Field required"),
        ({"id": "spring-red-0", "modality": "image", "how": "run"}, 422, "how: "),
        ({"id": "x" * 1001, "modality": "image"}, 422, "id: "),
    ],
)
def test_nothing_else_is_opened(client, sent, status, said):
    answer = client.get("/content", params=sent)
    assert answer.status_code == status and said in answer.json()["error"], answer.text


def test_what_became_of_a_file_is_said_without_its_folder(client, seen):
    path = seen.folder.path.parent / "spring" / "spring-green-5.png"
    before = path.read_bytes()
    try:
        for now, status, said in ((b"no picture", 422, "is not an image"), (None, 404, "cannot be opened any more")):
            path.write_bytes(now) if now else path.unlink()
            answer = asked(client, "spring-green-5", "image")
            assert answer.status_code == status and said in answer.json()["error"]
            assert str(path.parent) not in answer.text
    finally:
        path.write_bytes(before)


def test_without_the_token_nothing_is_shown_and_large_files_are_not(seen, serving):
    client = serving(seen, token="secret", max_content=200)
    assert asked(client, "spring-red-0", "image").status_code == 401
    client.headers["authorization"] = "Bearer secret"
    answer = asked(client, "spring-red-0", "image")
    assert answer.status_code == 422 and "200 are shown at most" in answer.json()["error"]


def test_a_source_does_not_tell_where_its_data_are(tmp_path, serving):
    model = begun(tmp_path)
    name, data = read_data(str(manifest(tmp_path / "more.jsonl", ["ash", "elm"], seed=1)))
    build_index(model.folder.current, data, name=name)
    client = serving(model)
    found = client.post("/search", files={"features": ("p.npy", npy("elm"))})
    assert found.status_code == 200 and str(tmp_path) in name and str(tmp_path) not in found.text
    hit = found.json()["hits"][0]
    assert hit["source"].startswith("manifest ")
    for source, said in ((hit["source"], "is not a file"), ("manifest 0", "the index has no")):
        assert said in asked(client, hit["id"], "features", source=source).json()["error"]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(NoContent, match=r"is not a regular file|cannot be opened"):
            read_within(path, most=10)


@pytest.mark.parametrize("kind", ["WAV", "OGG", "FLAC", "MP3"])
def test_what_browsers_play_is_told_by_its_content(kind):
    types = {"WAV": "audio/wav", "OGG": "audio/ogg", "FLAC": "audio/flac", "MP3": "audio/mpeg"}
    data = things.sound("red", kind=kind)
    assert playable("audio", data) == types[kind] and playable("video", data) is None
    assert playable("video", things.film("red", "mp4", "mpeg4")) == "video/mp4"
    assert playable("video", things.film("red", "matroska", "mpeg4")) is None
