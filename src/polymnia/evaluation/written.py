"""What a method writes for samples, and what would be right; each test set's texts are written once a round."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from polymnia.data.samples import Samples
from polymnia.errors import DataError
from polymnia.methods.base import Method

ROWS = 64
"""Samples that are written for at once at most: each of them keeps its keys and values while it is written."""

Held = dict[tuple[Method, Samples], list[str]]
_round: ContextVar[Held | None] = ContextVar("round", default=None)


@contextmanager
def one_round() -> Generator[None]:
    """Within this block a method does not change: what it wrote for a set of samples is not written again.

    A round inside a round is part of it.
    """
    held = _round.get()
    token = _round.set({} if held is None else held)
    try:
        yield
    finally:
        _round.reset(token)


def written(method: Method, samples: Samples, *, batch_size: int = ROWS) -> list[str]:
    """Return the text that a method writes for each sample; in a round, the same samples are asked about once.

    Parameters
    ----------
    method : Method
        Its `answer` writes; its model's family provides "text".
    samples : Samples
        Encoded; "the same" means this very object, as a stage's test set is.
    batch_size : int
        Rows at once, `ROWS` at most; it cannot change a text.
    """
    held = _round.get()
    if held is not None and (method, samples) in held:
        return held[method, samples]
    texts = [text for batch in method.batches(samples, min(batch_size, ROWS)) for text in method.answer(batch)]
    if held is not None:
        held[method, samples] = texts
    return texts


def references(samples: Samples) -> list[list[str]]:
    """Return all right texts of each sample: its column `references`, JSON lists, or else its one `answer`.

    Raises
    ------
    DataError
        Samples have neither, or a list cannot be read or is empty.

    Examples
    --------
    >>> from polymnia.data.samples import Sample
    >>> references(Samples.of([Sample("a", {}, columns={"answer": "red", "references": '["red", "crimson"]'})]))
    [['red', 'crimson']]
    """
    if "references" not in samples.columns:
        if "answer" not in samples.columns:
            raise DataError("texts are scored against a column 'references' (JSON lists) or 'answer'; there is neither")
        return [[text] for text in samples.columns["answer"].tolist()]
    rows = zip(samples.ids.tolist(), samples.columns["references"].tolist(), strict=True)
    return [_listed(name, row) for name, row in rows]


def _listed(name: str, row: str) -> list[str]:
    try:
        found = json.loads(row)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        raise DataError(f"references of sample {name!r} are {row[:80]!r}; they must be a JSON list of strings")
    return found
