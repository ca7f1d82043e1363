"""Scores of captions: CIDEr, BLEU-4 and ROUGE-L, by the field's own package."""

import math
from collections.abc import Sequence
from typing import Any

from polymnia.data.wording import plain
from polymnia.errors import MissingExtra
from polymnia.randomness import derive

Texts = Sequence[str]
References = Sequence[Sequence[str]]
"""For each text, all that are right."""

HIGHEST = 10.0
"""CIDEr of a text that is its reference."""


def cider(texts: Texts, references: References, *, single: bool = False, seed: int = 0) -> float:
    """Return CIDEr-D: how near texts are to their references, by n-grams that are rare among all references.

    It lies between 0 and 10; papers print it times 100. N-grams that are in the references of every item count for
    nothing, and so the score of a single item is 0.

    Parameters
    ----------
    texts : sequence of str
        What was written.
    references : sequence of sequences of str
        All right ones of each.
    single : bool
        Score each text against one of its references, drawn by `seed`: what the released code of MoInCL does. It is
        lower, and another draw gives another score.
    seed : int
        Of that draw.

    Raises
    ------
    MissingExtra
        pycocoevalcap is not installed.

    Source: Vedantam et al. 2015, "CIDEr", its section 4 (CIDEr-D, σ = 6, n = 1 to 4); the package pycocoevalcap.
    """
    if not texts:
        return math.nan
    if single:
        references = [[_one(among, seed)] for among in references]
    return float(_scored("cider", "Cider", texts, references)[0])


def bleu4(texts: Texts, references: References) -> float:
    """Return BLEU-4 of all texts together, between 0 and 1, without smoothing; the closest reference gives the length.

    It is pycocoevalcap's, as captions are scored with it; sacrebleu has its own tokeniser, made for translations.

    Source: Papineni et al. 2002.
    """
    return float(_scored("bleu", "Bleu", texts, references, verbose=0)[0][3]) if texts else math.nan


def rouge_l(texts: Texts, references: References) -> float:
    """Return the mean ROUGE-L, between 0 and 1: the longest common subsequence with the nearest reference (β = 1.2).

    Source: Lin 2004.
    """
    return float(_scored("rouge", "Rouge", texts, references)[0]) if texts else math.nan


def _scored(module: str, name: str, texts: Texts, references: References, **how: Any) -> Any:
    """Return what a scorer of the package says of plain texts; the package's tokeniser needs Java and is not used."""
    from importlib import import_module

    try:
        kind = getattr(import_module(f"pycocoevalcap.{module}.{module}"), name)
    except ImportError:
        raise MissingExtra("pycocoevalcap", "captions") from None
    right = {i: [plain(text) for text in among] for i, among in enumerate(references)}
    return kind().compute_score(right, {i: [plain(text)] for i, text in enumerate(texts)}, **how)


def _one(among: Sequence[str], seed: int) -> str:
    """Return one of an item's references, whichever place the item has."""
    return among[derive(seed, "single reference", *among) % len(among)]
