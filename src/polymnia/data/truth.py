"""What is known to be right of a sample, where that is known: by it targets that a method makes up can be judged."""

import json
from collections.abc import Callable

from polymnia.data.samples import Samples
from polymnia.data.wording import plain
from polymnia.errors import DataError

TRUTH, SCENE = "truth", "scene"
"""Columns: JSON, question → right answer, with "" for the description; or the caption of a scene of the toy world."""


def truth_of(samples: Samples) -> Callable[[int, str], str | None]:
    """Return a function of a row and a question ("" for the description) that gives the right answer, if it is known.

    Raises
    ------
    DataError
        When it is asked: a value of the column `truth` is not a mapping in JSON.
    """
    columns = samples.columns

    def told(row: int, question: str) -> str | None:
        text = str(columns[TRUTH][row])
        if not text:
            return None
        try:
            found = json.loads(text)[question]
        except KeyError:
            return None
        except (ValueError, TypeError):
            raise DataError(
                f"sample {samples.ids[row]}: its `truth` is {text[:80]!r}, and a mapping in JSON is needed, "
                'question → answer, with "" for the description'
            ) from None
        return plain(str(found))

    def shown(row: int, question: str) -> str | None:
        from polymnia.data.sources.scenes import truth

        caption = str(columns[SCENE][row])
        found = truth(caption, question) if question else caption
        return None if not found else plain(found)

    if TRUTH in columns:
        return told
    return shown if SCENE in columns else lambda row, question: None
