"""The service over a model that writes: questions and captions, several at once."""

from concurrent.futures import ThreadPoolExecutor

from tests.service.conftest import QUESTION, centre, npy


def test_it_answers_and_captions(writer, serving):
    client = serving(writer)
    said = client.post("/answer", files={"features": npy("blue")}, data={"question": QUESTION})
    assert said.status_code == 200, said.text
    assert said.json() == {"version": "0001-colours", "text": "blue", "broken": {}}
    caption = client.post("/caption", files={"features": npy("red")}).json()
    assert caption["text"] == writer.answer({"features": [centre("red")]})[0].text


def test_several_at_once_are_answered_as_one_by_one(writer, serving):
    client = serving(writer)

    def ask(colour):
        return client.post("/answer", files={"features": npy(colour)}, data={"question": QUESTION}).json()["text"]

    wanted = ["red", "blue"] * 6
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, wanted)) == wanted


def test_what_it_cannot_do_is_said(writer, grown, serving):
    client = serving(writer)
    none = client.post("/answer", files={"features": npy("red")})
    assert none.status_code == 422 and "question: there is none" in none.json()["error"]
    classes = client.post("/predict", files={"features": npy("red")})
    assert classes.status_code == 409 and "tells no classes" in classes.json()["error"]
    long = serving(writer, max_text=100).post("/answer", files={"features": npy("red")}, data={"question": "x" * 101})
    assert long.status_code == 422 and "characters" in long.json()["error"]
    other = serving(grown).post("/caption", files={"features": npy("ash")})
    assert other.status_code == 409 and "writes no texts" in other.json()["error"]
