"""A frozen language model: what is carried, how texts are written, and what padding may not do."""

import hashlib
from itertools import product

import pytest
import torch
from torch import nn

from polymnia.errors import SettingsError
from polymnia.hosts.causal import Causal, Decoding
from polymnia.hosts.texts import padded
from polymnia.layers.bridge import packed

PLACE = "model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def host(tiny_lm):
    return Causal.load(tiny_lm)


class Plus(nn.Module):
    """The same number, whatever is given; it counts."""

    def __init__(self, number):
        super().__init__()
        self.number, self.calls, self.seen = number, 0, []

    def forward(self, given):
        self.calls += 1
        self.seen.append(given.shape)
        return torch.tensor(self.number)


def ids(host, *texts):
    return padded([host.tokeniser.prompt(text) for text in texts])


def states(host, given):
    with torch.no_grad():
        return host.states(host.embed(given), given >= 0)


def before(host, given):
    """Return embeddings and validity, the padding before the texts."""
    return packed(host.embed(given), given >= 0, behind=False)


def digest(host):
    whole = hashlib.sha256()
    for p in host.network.state_dict().values():
        whole.update(p.numpy().tobytes())
    return whole.hexdigest()


# what is carried ------------------------------------------------------------------------------------------------------


def test_what_is_carried_is_added_to_the_layers_output(host):
    layer, found = host.network.get_submodule(PLACE), []
    given = torch.randn(1, 2, 16, generator=torch.Generator().manual_seed(0))
    with host.carrying({PLACE: Plus(2.0)}), torch.no_grad():
        found.append(layer(given))
    torch.testing.assert_close(found[0], nn.functional.linear(given, layer.weight) + 2.0)
    assert torch.equal(layer(given), nn.functional.linear(given, layer.weight))


def test_carrying_nests_and_restores(host):
    given = ids(host, "a red star")
    bare, one, two = states(host, given), Plus(0.5), Plus(-0.5)
    with host.carrying({PLACE: one}):
        outer = states(host, given)
        with host.carrying({PLACE: two}):
            inner = states(host, given)
            with host.carrying({}):
                assert torch.equal(states(host, given), bare)
        assert torch.equal(states(host, given), outer)
    assert torch.equal(states(host, given), bare)
    assert not torch.equal(outer, bare) and not torch.equal(outer, inner)
    assert (one.calls, two.calls) == (2, 1)


def test_what_was_carried_comes_back_after_an_error(host):
    given = ids(host, "a red star")
    bare = states(host, given)
    with pytest.raises(ZeroDivisionError), host.carrying({PLACE: Plus(1.0)}):
        raise ZeroDivisionError
    assert host.deltas == {} and torch.equal(states(host, given), bare)


def test_a_layer_is_hooked_once_however_often_it_carries(tiny_lm):
    host, given = Causal.load(tiny_lm), torch.tensor([[1, 5]])
    for _ in range(3):
        with host.carrying({PLACE: Plus(1.0)}):
            states(host, given)
    assert len(host.network.get_submodule(PLACE)._forward_hooks) == 1
    one = Plus(1.0)
    with host.carrying({PLACE: one}):
        states(host, given)
    assert one.calls == 1


def test_places_are_found_by_their_last_names(host):
    found = host.places(("q_proj", "down_proj"))
    assert len(found) == 4 and PLACE in found and "model.layers.1.mlp.down_proj" in found
    assert all(isinstance(layer, nn.Linear) for layer in found.values())
    with pytest.raises(SettingsError, match=r"model\.places: 'query' is no linear layer of the host; it has \['down_"):
        host.places(("q_proj", "query"))


def test_training_what_is_carried_never_changes_the_host(host):
    from polymnia.layers.deltas.lora import LowRank

    given, wanted = ids(host, "a red star", "the box ?"), digest(host)
    low = {name: LowRank(at.in_features, at.out_features, rank=2, alpha=4) for name, at in
           host.places(("q_proj", "v_proj", "down_proj")).items()}  # fmt: skip
    optimiser = torch.optim.AdamW([p for part in low.values() for p in part.parameters()], lr=0.1, weight_decay=0.1)
    losses = []
    for _ in range(5):
        with host.carrying(low):
            logits = host.logits(host.states(host.embed(given), given >= 0))
        losses.append(nn.functional.cross_entropy(logits[0, :-1], given[0, 1:]))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < losses[0] and digest(host) == wanted
    assert all(p.grad is None for p in host.network.parameters())


# padding --------------------------------------------------------------------------------------------------------------


def test_padding_behind_or_before_changes_no_state(host):
    given = ids(host, "a red star", "what is it ? a box", "dot")
    behind, valid = states(host, given), given >= 0
    embedded, left = before(host, given)
    with torch.no_grad():
        moved = host.states(embedded, left)
    for row in range(3):
        alone = states(host, given[row : row + 1, : int(valid[row].sum())])[0]
        torch.testing.assert_close(behind[row, valid[row]], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(moved[row, left[row]], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("decoding", [Decoding(most=7), Decoding(most=7, beams=3), Decoding(most=7, repetition=1.5)])
def test_a_batch_is_written_as_its_rows_one_by_one(host, decoding):
    given = ids(host, "a red star", "what is it ? a box", "dot")
    together = host.write(*before(host, given), decoding).tolist()
    for row, found in enumerate(together):
        one = given[row : row + 1, : int((given[row] >= 0).sum())]
        alone = host.write(host.embed(one), one >= 0, decoding)[0].tolist()
        assert [i for i in found if i >= 0] == [i for i in alone if i >= 0]


# writing --------------------------------------------------------------------------------------------------------------


def next_logs(host, written):
    """Return the log-probabilities of what follows ids, by a whole new pass without any cache."""
    given = torch.tensor([written])
    with torch.no_grad():
        return host.logits(host.states(host.embed(given), given >= 0))[0, -1].log_softmax(0)


def best_by_brute_force(host, prompt, *, most, beams):
    """Return what beam search of that width must find, written plainly: no ends, for the tiny host writes none."""
    held = [((), 0.0)]
    for _ in range(most):
        further = [
            ((*ids, i), score + float(logs[i]))
            for ids, score in held
            for logs in [next_logs(host, [*prompt, *ids])]
            for i in range(host.vocabulary)
        ]
        held = sorted(further, key=lambda pair: -pair[1])[:beams]
    return list(held[0][0])


@pytest.fixture(scope="module")
def endless(tiny_lm):
    """The tiny host, whose texts never end: the token that ends is never likely."""
    host = Causal.load(tiny_lm)
    head = host.network.get_output_embeddings()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator))  # sharper than a new network is
    end = host.tokeniser.end
    head.register_forward_hook(lambda layer, given, found: found.index_fill(-1, torch.tensor([end]), -1e4))
    return host


@pytest.mark.parametrize("beams", [1, 2])
def test_two_beams_find_what_brute_force_finds(endless, beams):
    found = []
    for text in ("a red star", "what is it ?", "describe image : box"):
        prompt = endless.tokeniser.prompt(text)
        given = torch.tensor([prompt])
        written = endless.write(endless.embed(given), given >= 0, Decoding(most=4, beams=beams))[0].tolist()
        assert written == best_by_brute_force(endless, prompt, most=4, beams=beams)
        found.append(written)
    assert len({tuple(row) for row in found}) > 1


def test_enough_beams_find_the_likeliest_of_all_texts(endless):
    prompt = endless.tokeniser.prompt("a red star")
    vocabulary, begun = range(endless.vocabulary), next_logs(endless, prompt)
    ended = [next_logs(endless, [*prompt, first]) for first in vocabulary]
    scores = {(one, two): float(begun[one] + ended[one][two]) for one, two in product(vocabulary, repeat=2)}
    given = torch.tensor([prompt])
    decoding = Decoding(most=2, beams=endless.vocabulary)
    written = endless.write(endless.embed(given), given >= 0, decoding)[0].tolist()
    assert tuple(written) == max(scores, key=lambda pair: scores[pair])


def test_writing_reads_each_token_once(endless):
    given, one = ids(endless, "a red star"), Plus(0.0)
    with endless.carrying({PLACE: one}):
        endless.write(endless.embed(given), given >= 0, Decoding(most=5))
    assert [shape[1] for shape in one.seen] == [given.shape[1], 1, 1, 1, 1]  # the cache knows the rest


def test_beams_are_rows_side_by_side(endless):
    given, one = ids(endless, "a red star", "what is it"), Plus(0.0)
    with endless.carrying({PLACE: one}):
        endless.write(*before(endless, given), Decoding(most=3, beams=3))
    assert {shape[0] for shape in one.seen[1:]} == {6}


def test_repetition_makes_what_was_written_less_likely(endless):
    given = ids(endless, "a red star")
    plain = endless.write(endless.embed(given), given >= 0, Decoding(most=12))[0].tolist()
    other = endless.write(endless.embed(given), given >= 0, Decoding(most=12, repetition=50.0))[0].tolist()
    assert len(set(other)) == 12 > len(set(plain))


def test_nothing_stands_behind_an_end(tiny_lm):
    host = Causal.load(tiny_lm)
    head, end = host.network.get_output_embeddings(), host.tokeniser.end

    def ending(layer, given, found):  # the second row ends at once, the first goes on
        found = found.index_fill(-1, torch.tensor([end]), -1e4)
        found[1, ..., end] = 1e4
        return found

    head.register_forward_hook(ending)
    given = ids(host, "a red star", "box")
    found = host.write(*before(host, given), Decoding(most=3)).tolist()
    assert found[1] == [end, -1, -1] and end not in found[0] and -1 not in found[0]
