import pytest
import torch

from polymnia.hosts.base import HOSTS
from polymnia.hosts.causal import Decoding
from polymnia.hosts.checkpoint import CheckpointHost
from polymnia.methods.pseudo_questions import asked_about, continuations, parsed, refused

HOW = Decoding(most=8)


@pytest.fixture
def questioned():
    """Return the name of a host that brings two questions, of which it can answer one."""

    class Questioned(CheckpointHost):
        """A checkpoint with questions."""

        def questions(self) -> list[str]:
            return ["what colour is it?", "is it a star?"]

    HOSTS.names()  # the others first
    HOSTS.register("questioned")(Questioned)
    yield "questioned"
    HOSTS._parts.pop("questioned")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_host_asks_and_answers_from_the_caption_alone(speaker, language_stage, reader, moved):
    model = speaker(path=reader)
    stage = language_stage(model, 0, "captioning", "image", copies=2)
    model.grow(stage)
    moved(model, 2.0)  # what was learned must take no part
    made = asked_about(model, stage.train, decoding=HOW, generator=generator())
    assert set(made.questions) == {"what colour is it?"} and not made.dropped
    colours = [caption.split()[1] for caption in stage.train.columns["answer"]]
    assert made.targets == colours and made.inputs == 9


def test_one_of_the_hosts_questions_is_drawn_for_each_input(speaker, language_stage, reader, questioned):
    model = speaker(host={"name": questioned, "path": str(reader)})
    stage = language_stage(model, 0, "captioning", "image", copies=2)
    model.grow(stage)
    made = asked_about(model, stage.train, decoding=HOW, generator=generator())
    kept = [row for row, target in enumerate(made.targets) if target]
    colours = [caption.split()[1] for caption in stage.train.columns["answer"]]
    asked = [row for row in kept if made.questions[row] == "what colour is it?"]
    assert 0 < len(asked) < 18 and all(made.targets[row] == colours[row] for row in asked)
    assert made.questions[::2] == made.questions[1::2]
    assert made == asked_about(model, stage.train, decoding=HOW, generator=generator())


def test_what_a_host_cannot_do_is_dropped_and_counted(speaker, language_stage):
    model = speaker()  # its host has learned nothing
    stage = language_stage(model, 0, "captioning", "image")
    made = asked_about(model, stage.train, decoding=HOW, generator=generator())
    kept = sum(bool(target) for target in made.targets)
    assert sum(made.dropped.values()) + kept == made.inputs == 9 and made.dropped
    assert all(bool(q) == bool(t) for q, t in zip(made.questions, made.targets, strict=True))


def test_a_prompt_is_continued_the_same_in_any_company(speaker, reader):
    loaded = speaker(path=reader).loaded
    prompts = ["a red star", "what colour is it ? a green dot", "describe", "a red star"]
    together = continuations(loaded, prompts, HOW)
    assert together == [continuations(loaded, [prompt], HOW)[0] for prompt in prompts]
    assert together[0] == together[3]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("what is it? a frog", ("what is it?", "a frog")),
        ("what is it ? a frog.", ("what is it?", "a frog")),
        ("Sure!\nQuestion: What is it?\nAnswer: a Frog\nQuestion: and now?", ("what is it?", "a frog")),
        ("Q: Who jumps?  A: the frog", ("who jumps?", "the frog")),
        ("what is it?", ("what is it?", "")),
        ("? frog", ("", "")),
        ("no question here", ("", "")),
    ],
)
def test_a_written_text_is_read_as_question_and_answer(text, pair):
    assert parsed(text) == pair


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("what is it?", "green frog"), ""),
        (("what is it?", "one two three four five"), "more than 4 words"),
        (("what is it?", "frogs"), "not in the caption"),
        (("what is it?", "frog green"), "not in the caption"),
        (("what is it?", ""), "no answer"),
        (("", ""), "no question"),
    ],
)
def test_a_pair_is_dropped_for_a_reason(pair, reason):
    assert refused(*pair, "There is one, two three four five: a Green frog, they say.") == reason
