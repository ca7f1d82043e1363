"""Results on disk: one JSON file, whole or not there at all, that reads well in a diff."""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from polymnia.errors import StateError
from polymnia.training.checkpoint import write_atomic

FORMAT = 1


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write results so that a reader sees the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, dumps(results).encode())


def read_results(path: Path) -> dict[str, Any]:
    """Return results that `write_results` wrote.

    Raises
    ------
    StateError
        The file is missing, damaged, or of another format.
    """
    try:
        results = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StateError(f"{path} is not there; make it with: polymnia reproduce {path.stem}") from None
    except ValueError as error:
        raise StateError(f"{path} is damaged: {error}") from None
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise StateError(f"{path} is not the results of an experiment in format {FORMAT}")
    return results


def dumps(results: Mapping[str, Any]) -> str:
    """Return results as JSON, one run, comparison or group a line, figures rounded to 6 digits.

    Examples
    --------
    >>> print(dumps({"seeds": [0, 1], "runs": [{"seed": 0, "matrix": [[0.1234567]]}]}), end="")
    {
     "seeds": [
      0,
      1
     ],
     "runs": [
      {"seed": 0, "matrix": [[0.123457]]}
     ]
    }
    """
    return _lines(_rounded(results), 0) + "\n"


def _lines(value: Any, depth: int) -> str:
    """Return JSON that opens mappings and lists to a depth of two, and writes what is deeper on one line."""
    if not isinstance(value, dict | list) or not value or depth >= 2:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    pad, end = " " * (depth + 1), " " * depth
    if isinstance(value, list):
        return "[\n" + ",\n".join(pad + _lines(item, depth + 1) for item in value) + f"\n{end}]"
    items = (f"{pad}{json.dumps(key)}: {_lines(item, depth + 1)}" for key, item in value.items())
    return "{\n" + ",\n".join(items) + f"\n{end}}}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
