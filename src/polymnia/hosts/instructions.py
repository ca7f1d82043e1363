"""Instructions about texts alone, for hosts that bring none of their own."""

from itertools import product

ASKS = (
    "write the opposite of: {t}", "how many words are there? {t}", "turn this into a question: {t}",
    "is this a fact or an opinion? {t}", "what could happen next? {t}", "say it in other words: {t}",
    "name the person or thing that acts: {t}", "put this into the past: {t}", "what is the mood? {t}",
    "shorten: {t}", "explain it to a child: {t}", "when could this have been? {t}",
)  # fmt: skip
TEXTS = (
    "the train was late again and nobody knew why.", "water boils at a hundred degrees.",
    "my neighbour lends me her ladder every spring.", "they have decided to close the old library.",
    "bread tastes best on the day it is baked.", "the contract ends in march unless both sides agree.",
    "she forgot the keys, so we waited outside.", "a good map is worth more than good luck.",
    "the committee will meet on tuesday at nine.", "he learned to swim before he could read.",
    "rain is expected in the north by evening.", "nobody answered the letter that was sent in june.",
    "the price of salt once decided wars.", "if you mix blue and yellow you get green.",
    "our team won by a single point.", "the doctor told him to walk an hour a day.",
)  # fmt: skip


def general() -> list[str]:
    """Return instructions in everyday words, each about a sentence.

    Examples
    --------
    >>> general()[0]
    'write the opposite of: the train was late again and nobody knew why.'
    """
    return [ask.format(t=text) for ask, text in product(ASKS, TEXTS)]
