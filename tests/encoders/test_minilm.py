import pytest
import torch
from torch.nn.functional import cosine_similarity

from polymnia.config import typed
from polymnia.encoders.base import ENCODERS
from polymnia.errors import DataError, SettingsError

MiniLM = ENCODERS.get("minilm")
pytestmark = pytest.mark.bundled("minilm")


@pytest.fixture(scope="module")
def encoder():
    return MiniLM()


def test_known_cosines(encoder):
    texts = ["a dog runs on the grass", "a puppy is playing in a field", "the stock market fell sharply"]
    dog, puppy, market = (tokens.mean(0) for tokens in encoder.encode(texts))
    assert float(cosine_similarity(dog, puppy, dim=0)) == pytest.approx(0.497, abs=5e-4)
    assert float(cosine_similarity(dog, market, dim=0)) == pytest.approx(0.077, abs=5e-4)


def test_one_token_a_word_piece_with_both_special_ones(encoder):
    one, two = encoder.encode(["a dog", "unbelievable weasels"])
    assert one.shape == (4, 384) and one.dtype == torch.float32 and two.shape[0] > 4


def test_no_result_depends_on_the_batch(encoder):
    texts = ["rain", "a red house", "a green house", "the sun is out today, and it is warm", "", "snow"]
    alone = [encoder.encode([text])[0] for text in texts]
    for one, two in zip(alone, encoder.encode(texts), strict=True):
        assert torch.allclose(one, two, atol=1e-5)


@torch.inference_mode()
def test_it_is_what_padding_and_masking_gives(encoder):
    texts = ["rain", "a red house in the rain"]
    ids = [found.ids for found in encoder._tokenizer.encode_batch(texts)]
    padded = torch.zeros(2, len(ids[1]), dtype=torch.int64)
    padded[0, : len(ids[0])], padded[1] = torch.tensor(ids[0]), torch.tensor(ids[1])
    states = encoder._network(input_ids=padded, attention_mask=(padded > 0).long()).last_hidden_state
    for tokens, state in zip(encoder.encode(texts), states, strict=True):
        assert torch.allclose(tokens, state[: len(tokens)], atol=1e-5)


def test_long_texts_are_cut(encoder):
    short = MiniLM(typed(MiniLM.Settings, {"max_pieces": 5}))
    assert len(encoder.encode(["rain " * 1000])[0]) == 256 and len(short.encode(["rain " * 1000])[0]) == 5
    assert short.fingerprint != encoder.fingerprint
    with pytest.raises(SettingsError, match="max_pieces: 1000 is given, and 3 to 512"):
        typed(MiniLM.Settings, {"max_pieces": 1000})


def test_an_array_is_no_text(encoder):
    with pytest.raises(DataError, match="takes texts"):
        encoder.encode([torch.zeros(3).numpy()])


def test_loading_weights_leaves_the_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    MiniLM().encode(["rain"])
    assert torch.equal(torch.get_rng_state(), before)


@torch.no_grad()
def test_layers_above_any_cut_make_the_encoders_own_tokens(encoder):
    texts = ["rain", "a red house in the rain"]
    own = encoder.encode(texts)
    for layer in (0, 3, 6):
        below, trunk = encoder.cut(layer)
        states = [tokens.clone() for tokens in below.encode(texts)]
        assert trunk.depth == 6 - layer and below.fingerprint != encoder.fingerprint and below.width == 384
        assert trunk.frozen.network is encoder._network
        tokens = torch.nn.utils.rnn.pad_sequence(states, batch_first=True, padding_value=3.0)
        valid = torch.arange(tokens.shape[1]) < torch.tensor([len(s) for s in states])[:, None]
        for index in range(trunk.depth):
            tokens = trunk.layer(index, tokens, valid)
        for row, wanted in zip(trunk.finish(tokens), own, strict=True):
            assert torch.allclose(row[: len(wanted)], wanted, atol=1e-4)
    with pytest.raises(SettingsError, match="before layer 0 to 6; 7 is given"):
        encoder.cut(7)


def test_gradients_pass_through_layers_that_inference_has_loaded():
    encoder = MiniLM()
    encoder.encode(["rain"])
    below, trunk = encoder.cut(5)
    tokens = below.encode(["a red house"])[0].clone()[None].requires_grad_()
    trunk.layer(0, tokens, None).square().sum().backward()
    assert float(tokens.grad.abs().sum()) > 0
