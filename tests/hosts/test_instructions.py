"""The pool of instructions: text alone, each once."""

from polymnia.hosts.instructions import instructions


def test_instructions_are_text_alone_and_each_once():
    every = instructions()
    assert len(set(every)) == len(every) > 1600
    words = {word.strip(".,:?") for text in every for word in text.lower().split()}
    assert not words & {"picture", "image", "photo", "sound", "video", "audio", "hear", "look"}
