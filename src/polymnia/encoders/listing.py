"""List the encoders: what each reads, how wide its tokens are, whose it is, and whether it can run here."""

from dataclasses import MISSING, fields
from typing import Any

from polymnia.encoders.base import ENCODERS


def listing() -> list[dict[str, Any]]:
    """Return one row for each registered encoder, without loading any weights.

    Keys: name, title, kind ("any" where it depends on the settings), width (None where it depends on the
    settings or values), pooling, settings (name → default, None where one must be given), licence, citation,
    homepage, available, and get: what to do when it is not.
    """
    rows = []
    for name in ENCODERS:
        encoder = ENCODERS.get(name)
        width, card = vars(encoder).get("width"), encoder.card
        rows.append(
            {
                "name": name,
                "title": card.title,
                "kind": encoder.kind,
                "width": width if isinstance(width, int) and width else None,
                "pooling": encoder.pooling,
                "settings": {f.name: None if f.default is MISSING else f.default for f in fields(encoder.Settings)},
                "licence": card.licence,
                "citation": card.citation,
                "homepage": card.homepage,
                "available": encoder.available(),
                "get": card.get,
            }
        )
    return rows
