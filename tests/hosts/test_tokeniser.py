"""Ids and texts: what begins, what ends, and what is cut."""

import pytest

from polymnia.errors import SettingsError
from polymnia.hosts.tokeniser import Tokeniser


@pytest.fixture(scope="module")
def tokeniser(tiny_lm):
    return Tokeniser.load(tiny_lm)


def test_a_text_comes_back(tokeniser):
    ids = tokeniser.ids("a red star")
    assert len(ids) == 3 and tokeniser.text(ids) == "a red star"


def test_a_prompt_begins_and_an_answer_ends(tokeniser):
    ids = tokeniser.ids("what is it")
    assert tokeniser.prompt("what is it") == [*tokeniser.begin, *ids] == [1, *ids]
    assert tokeniser.answer("a dot") == [*tokeniser.ids("a dot"), tokeniser.end]


def test_of_a_long_prompt_the_end_is_kept_and_of_a_long_answer_the_beginning(tokeniser):
    a, b, c = tokeniser.ids("red star box")
    assert tokeniser.prompt("red star box", most=2) == [*tokeniser.begin, b, c]
    assert tokeniser.answer("red star box", most=2) == [a, tokeniser.end]
    assert tokeniser.answer("red star box", most=1) == [tokeniser.end]


def test_nothing_is_said_behind_the_end(tokeniser):
    red, star = tokeniser.ids("red star")
    assert tokeniser.text([red, tokeniser.end, star]) == "red"
    assert tokeniser.text([-1, red, -1, star, -1]) == "red star"
    assert tokeniser.text([tokeniser.end]) == tokeniser.text([]) == ""


def test_a_prompt_is_never_nothing(tokeniser):
    held = tokeniser.held
    without = Tokeniser(_without_beginning(held))
    assert without.begin == [] and without.prompt("") == [without.end]
    assert without.prompt("red") == tokeniser.ids("red")


def _without_beginning(held):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=held.backend_tokenizer, eos_token="</s>", unk_token="<unk>")


def test_a_folder_without_a_tokeniser_is_said(tmp_path):
    with pytest.raises(SettingsError, match="holds no tokeniser"):
        Tokeniser.load(tmp_path)


def test_a_tokeniser_that_cannot_end_a_text_is_refused(tiny_lm, tmp_path):
    from transformers import PreTrainedTokenizerFast

    held = Tokeniser.load(tiny_lm).held
    PreTrainedTokenizerFast(tokenizer_object=held.backend_tokenizer, unk_token="<unk>").save_pretrained(tmp_path)
    with pytest.raises(SettingsError, match="names no token that ends a text"):
        Tokeniser.load(tmp_path)
