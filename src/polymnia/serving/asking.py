"""What is asked: a text or a file, and which of the modalities that were learned it is of."""

from pathlib import Path

from polymnia.data.modality import MODALITIES, Raw, file_bytes
from polymnia.data.recognise import recognise
from polymnia.errors import DataError, SettingsError
from polymnia.serving.loading import Learned


def asked_for(words: str) -> str | Path:
    """Return what a user means by a word on the command line: the file of that name, else the text.

    Raises
    ------
    DataError
        It looks like a file's name, and there is no such file.
    """
    path = Path(words).expanduser()
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):  # too long for a name: a text
        return words
    endings = {suffix for name in MODALITIES for suffix in MODALITIES.get(name).suffixes}
    if path.suffix.lower() in endings and len(words.split()) == 1:
        raise DataError(f"there is no file {words}; to search by these letters as a text, add a word to them")
    return words


def modality_of(query: str | Path | Raw, learned: Learned) -> str:
    """Return the modality that a text or a file is of, among those that were learned.

    Raises
    ------
    SettingsError
        Several of its kind were learned, or it is an array.
    DataError
        None of its kind was learned, or its content does not tell.
    """
    kinds, known = _kinds(query), learned.kinds
    for kind in kinds:
        fitting = sorted(m for m in known if known[m] == kind)
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise SettingsError(
                f"the query is {kind}, and the run has learned several modalities of that kind: "
                f"{', '.join(fitting)}. Say which one it is: --as {fitting[0]}"
            )
    told = ", ".join(f"{m} ({kind})" for m, kind in known.items())
    raise DataError(f"the query is {' or '.join(kinds)}, and by stage {learned.stage} the run knows {told}")


def _kinds(query: str | Path | Raw) -> tuple[str, ...]:
    if isinstance(query, str):
        return ("text",)
    if not isinstance(query, Path | bytes):
        raise SettingsError("of an array nothing tells what it is; say which modality: modality=…")
    limit = max(MODALITIES.get(name).max_bytes for name in MODALITIES)
    try:
        return recognise(file_bytes(query, limit=limit))
    except DataError as error:
        shown = query if isinstance(query, Path) else "the query"
        raise DataError(f"{shown} {error}. Say what it is: --as MODALITY") from None
