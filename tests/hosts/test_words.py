"""The language model of words: its texts, what it can do once it is trained, and where it is kept."""

import json
import threading

import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.data.sources.scenes import QUESTIONS, SCENES
from polymnia.data.wording import TEMPLATES, WRITTEN
from polymnia.errors import SettingsError, StateError
from polymnia.hosts import reading
from polymnia.hosts.base import HOSTS
from polymnia.hosts.causal import Decoding
from polymnia.hosts.texts import padded
from polymnia.hosts.words import Words
from polymnia.layers.bridge import packed

SMALL = {"layers": 1, "width": 16, "heads": 2, "steps": 60, "batch": 8}


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """Return a host that is trained until it can read, with a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYMNIA_HOME", str(tmp_path_factory.mktemp("home")))
        made = HOSTS.get("words")(Words.Settings(**SMALL))
        made.folder()
        yield made


def test_the_quiz_is_about_scenes_that_no_text_tells_of(host):
    told, held = reading.told()
    texts = "\n".join(host.instructions())
    assert len(told) + len(held) == len(SCENES)
    assert all(scene.caption in texts for scene in told)
    assert not any(scene.caption in texts for scene in held)
    assert len(host.quiz()) == len(held) * len(QUESTIONS)
    assert all(answer in prompt.split(".")[-2].split() for prompt, answer in host.quiz())


def test_it_is_taught_the_prompts_that_it_is_asked(host):
    scene = reading.told()[0][0]
    taught = dict(pair for pairs in reading.corpus().values() for pair in pairs)
    assert [taught[host.reading(scene.caption, asks)] for asks in host.questions()] == [
        scene.answer(kind) for kind in QUESTIONS
    ]
    for modality in ("image", "audio", "video"):
        assert taught[f"{scene.caption}. describe the {modality}."] == scene.caption


def test_every_word_of_scenes_and_wordings_is_known_and_comes_back(host):
    tokeniser = host.tokeniser()
    unknown = tokeniser.held.unk_token_id
    wordings = [
        way.format(m=m, q="") for task in WRITTEN for way in TEMPLATES[task] for m in ("image", "audio", "video")
    ]
    for text in [*wordings, *(s.caption for s in SCENES), *QUESTIONS.values(), " image: ", *host.instructions()[::50]]:
        assert unknown not in tokeniser.ids(text)
    assert tokeniser.text(tokeniser.answer(SCENES[0].caption)) == SCENES[0].caption
    assert tokeniser.text(tokeniser.ids("What colour is it? red")) == "what colour is it? red"
    assert tokeniser.prompt("it")[0] == tokeniser.begin[0] and tokeniser.answer("it")[-1] == tokeniser.end


def test_training_lowers_the_loss_on_answers_below_chance_over_their_words(host):
    loaded, pairs = host.load(), reading.corpus()["reading"][:40]
    rows = [(loaded.tokeniser.prompt(prompt), loaded.tokeniser.answer(answer)) for prompt, answer in pairs]
    ids = padded([[*prompt, *answer] for prompt, answer in rows])
    with torch.inference_mode():
        logits = loaded.logits(loaded.states(loaded.embed(ids), ids >= 0))
    at = torch.tensor([len(prompt) for prompt, _ in rows])
    first = ids.gather(1, at[:, None])[:, 0]
    loss = cross_entropy(logits[torch.arange(len(ids)), at - 1], first)
    assert float(loss) < torch.log(torch.tensor(len(loaded.tokeniser.held) / 2.0))


def test_it_writes_texts_that_end(host):
    loaded = host.load()
    ids = padded([loaded.tokeniser.prompt(prompt) for prompt, _ in host.quiz()[:3]])
    written = loaded.write(*packed(loaded.embed(ids), ids >= 0, behind=False), Decoding(most=12))
    assert written.shape[0] == 3 and written.shape[1] <= 12


def test_two_at_once_make_one_and_the_same_settings_the_same_weights(at_home, host):
    folders = []
    makers = [
        threading.Thread(target=lambda: folders.append(Words(Words.Settings(**SMALL)).folder())) for _ in range(2)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert folders[0] == folders[1]
    assert [path.name for path in (at_home / "weights").iterdir() if not path.name.startswith(".")] == [folders[0].name]
    assert not list((at_home / "weights").glob(".*part-*"))
    again = Words(Words.Settings(**SMALL)).load()
    for name, weight in host.load().network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], weight, rtol=0, atol=0)


def test_what_is_there_is_not_made_again(at_home):
    made = Words(Words.Settings(**SMALL | {"steps": 1}))
    before = (made.folder() / "model.safetensors").stat().st_mtime_ns
    assert (made.folder() / "model.safetensors").stat().st_mtime_ns == before
    assert json.loads((made.folder() / "config.json").read_text())["hidden_size"] == 16


def test_another_setting_is_another_model_and_training_moves_no_generator_and_no_thread(at_home):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    one, other = (Words(Words.Settings(**SMALL | {"steps": 1, "seed": seed})) for seed in (0, 1))
    assert one.folder() != other.folder()
    torch.testing.assert_close(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "file"))
    with pytest.raises(StateError, match="POLYMNIA_HOME"):
        Words(Words.Settings(**SMALL)).folder()


@pytest.mark.parametrize(
    ("settings", "message"), [({"steps": 0}, "steps"), ({"width": 20}, "multiple"), ({"lr": 0}, "lr")]
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        Words.Settings(**settings)
