"""From a request to a thing: its files and texts, each under the modality that it is of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from polymnia.data.modality import Raw
from polymnia.errors import DataError
from polymnia.service.decoding import Decoder
from polymnia.service.settings import ServiceSettings

FILE, TEXT = "file", "text"
SETTINGS = frozenset({"top", "within", "k", "question"})
"""Fields that are not values."""


@dataclass
class Asked:
    """What a request holds.

    Parameters
    ----------
    values : dict
        Modality → a text, or a decoded array.
    settings : dict
        Other fields: `top`, `within`, `k`, `question`.
    """

    values: dict[str, Raw] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


async def asked_of(request: Request, kinds: Mapping[str, str], decoder: Decoder, settings: ServiceSettings) -> Asked:
    """Return the thing that a request is about.

    A field named after a modality is of that modality; `file` is of the modality whose kind its content has, `text` of
    the one that is text. The body is a form, or JSON with texts only.

    Parameters
    ----------
    request : Request
        With its body.
    kinds : Mapping
        Modality → kind of signal, of what was learned.
    decoder : Decoder
        Reads files.
    settings : ServiceSettings
        How many files, and how long texts may be.

    Raises
    ------
    DataError
        A field is unknown, a file cannot be read, or there is nothing.
    """
    found = Asked()
    for name, value in await _fields(request, settings):
        if name in SETTINGS and isinstance(value, str):
            found.settings[name] = value
        elif isinstance(value, str):
            modality = _of_text(name, value, kinds, settings)
            _put(found, modality, value)
        else:
            data = await value.read()
            if not data:
                raise DataError(f"{name}: the file is empty")
            modality = await _of_file(name, data, kinds, decoder)
            try:
                _put(found, modality, await decoder.read(kinds[modality], data))
            except DataError as error:
                raise DataError(f"{name} (as {modality}): {error}") from None
    if not found.values:
        raise DataError(f"there is no value. Give a field {FILE}, {TEXT}, or one of {', '.join(kinds)}")
    return found


async def _fields(request: Request, settings: ServiceSettings) -> list[tuple[str, str | UploadFile]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _of_json(await request.body())
    if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise DataError(f"the body is {kind or 'of no stated kind'}; a form (multipart/form-data) or JSON is needed")
    try:
        form = await request.form(
            max_files=settings.max_files, max_fields=64, max_part_size=4 * settings.max_text + 1024
        )
    except HTTPException as error:  # what Starlette makes of a form that is broken, or has too much in it
        raise DataError(f"the form cannot be read: {error.detail}") from None
    return list(form.multi_items())


def _of_json(body: bytes) -> list[tuple[str, str | UploadFile]]:
    try:
        held: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise DataError("the body is not JSON") from None
    if not isinstance(held, dict):
        raise DataError(f"the body holds {type(held).__name__}; a mapping of fields is needed")
    wrong = [name for name, value in held.items() if not isinstance(value, str | int)]
    if wrong:
        raise DataError(f"{wrong[0][:60]}: a text or a whole number is needed; files come in a form")
    return [(name, str(value)) for name, value in held.items()]


def _put(found: Asked, modality: str, value: Raw) -> None:
    if modality in found.values:
        raise DataError(f"{modality} is given twice; a request is about one thing")
    found.values[modality] = value


def _of_text(name: str, value: str, kinds: Mapping[str, str], settings: ServiceSettings) -> str:
    texts = [m for m, kind in kinds.items() if kind == "text"]
    modality = name if name in kinds else texts[0] if name == TEXT and len(texts) == 1 else None
    if modality is None:
        raise DataError(f"{name[:60]}: no such field. Accepted: {FILE}, {TEXT}, {', '.join(kinds)}")
    if kinds[modality] != "text":
        raise DataError(f"{name}: is {kinds[modality]}, and needs a file")
    if not value.strip():
        raise DataError(f"{name}: the text is empty")
    if len(value) > settings.max_text:
        raise DataError(f"{name}: has {len(value):,} characters; {settings.max_text:,} are accepted")
    return modality


async def _of_file(name: str, data: bytes, kinds: Mapping[str, str], decoder: Decoder) -> str:
    if name in kinds:
        return name
    if name != FILE:
        raise DataError(f"{name[:60]}: no such field. Accepted: {FILE}, {TEXT}, {', '.join(kinds)}")
    told = await decoder.kinds(data)
    for kind in told:
        fitting = [modality for modality, known in kinds.items() if known == kind]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise DataError(f"{name}: is {kind}, which may be {' or '.join(fitting)}: name the field so")
    known = ", ".join(f"{modality} ({kind})" for modality, kind in kinds.items())
    raise DataError(f"{name}: is {' or '.join(told)}, and the model knows {known}")
