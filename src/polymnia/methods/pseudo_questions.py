"""Pseudo questions: the host alone reads the samples' captions, asks about them and answers."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from polymnia.data.samples import Samples
from polymnia.data.wording import ANSWERING, plain
from polymnia.hosts.causal import Causal, Decoding
from polymnia.hosts.texts import ANSWER, padded
from polymnia.layers.bridge import packed
from polymnia.methods.pseudo_targets import Made, inputs
from polymnia.models.hosted import host

WORDS = 4
"""A longer answer is dropped."""
AT_ONCE = 128
LABEL = re.compile(r"^\W*(?:question|answer|q|a)\s*:\s*", re.IGNORECASE)

MARKS = re.compile(r"[,?/\\]")


def asked_about(model: Any, samples: Samples, *, decoding: Decoding, generator: torch.Generator) -> Made:
    """Return a question about each sample and its answer, made of the sample's own caption by the frozen host.

    Where the host brings questions, one of them is drawn for each input, and the host answers it; otherwise it writes
    both. Of an input with several captions the first is read. A pair is dropped when it has no question or no answer,
    when the answer has more than four words, or when it does not stand in the caption, word for word.

    Parameters
    ----------
    model : Model
        A language model; nothing that it learned takes part.
    samples : Samples
        With the column "answer": their captions.
    decoding : Decoding
        How the host writes.
    generator : Generator
        Of the questions that are drawn.

    Source: Pian et al. 2024 (MoInCL), PTGM; which model reads, its prompt and the filter are our choice [X].
    """
    own = host(model.settings)
    rows, of = inputs(samples)
    captions = [str(samples.columns[ANSWER][row]) for row in rows]
    fixed = own.questions()
    drawn = torch.randint(len(fixed), (len(rows),), generator=generator).tolist() if fixed else []
    questions = [fixed[at] for at in drawn] if fixed else [""] * len(rows)
    prompts = [own.reading(caption, question) for caption, question in zip(captions, questions, strict=True)]
    written = continuations(model.loaded, prompts, decoding)
    pairs = [(q, plain(first_line(text))) if q else parsed(text) for q, text in zip(questions, written, strict=True)]
    reasons = [refused(*pair, caption) for pair, caption in zip(pairs, captions, strict=True)]
    kept = [("", "") if reason else pair for pair, reason in zip(pairs, reasons, strict=True)]
    return Made(
        task=ANSWERING,
        questions=[kept[place][0] for place in of],
        targets=[kept[place][1] for place in of],
        inputs=len(rows),
        dropped=dict(sorted(Counter(reason for reason in reasons if reason).items())),
    )


def continuations(loaded: Causal, prompts: Sequence[str], decoding: Decoding) -> list[str]:
    """Return what the host, with nothing carried, writes after each prompt; equal prompts are read once."""
    ids = {prompt: loaded.tokeniser.prompt(prompt) for prompt in prompts}
    order = sorted(ids, key=lambda prompt: len(ids[prompt]))  # of one length side by side: little padding
    written: dict[str, str] = {}
    device = next(loaded.network.parameters()).device
    for at in range(0, len(order), AT_ONCE):
        some = order[at : at + AT_ONCE]
        held = padded([ids[prompt] for prompt in some]).to(device)
        with torch.inference_mode(), loaded.carrying({}):
            embedded, valid = packed(loaded.embed(held), held >= 0, behind=False)
            found = loaded.write(embedded, valid, decoding)
        written |= {prompt: loaded.tokeniser.text(row) for prompt, row in zip(some, found.tolist(), strict=True)}
    return [written[prompt] for prompt in prompts]


def first_line(text: str) -> str:
    """Return the first line of a text, without a label such as "answer:" before it.

    Examples
    --------
    >>> first_line("Answer: red and green\\n\\nQuestion: what")
    'red and green'
    """
    return LABEL.sub("", text.strip()).partition("\n")[0].strip()


def parsed(text: str) -> tuple[str, str]:
    """Return the question that a text begins with and the answer after it; "" for what is missing.

    Examples
    --------
    >>> parsed("Question: What is the frog doing?\\nAnswer: Jumping.\\nQuestion: Why?")
    ('what is the frog doing?', 'jumping')
    >>> parsed("a green frog")
    ('', '')
    """
    question, mark, answer = text.partition("?")
    asked = plain(LABEL.sub("", question.strip().rpartition("\n")[2]))
    return (f"{asked}?", plain(first_line(answer))) if mark and asked else ("", "")


def refused(question: str, answer: str, caption: str) -> str:
    """Return why a pair is dropped; "" where it is kept.

    Examples
    --------
    >>> refused("what is it?", "frog", "a green frog"), refused("what is it?", "rog", "a green frog")
    ('', 'not in the caption')
    """
    if not question:
        return "no question"
    if not answer:
        return "no answer"
    if len(answer.split()) > WORDS:
        return f"more than {WORDS} words"
    return "" if _words(answer) in _words(caption) else "not in the caption"


def _words(text: str) -> str:
    """Return the words alone, with a space before and behind each."""
    return f" {' '.join(MARKS.sub(' ', plain(text)).split())} "
