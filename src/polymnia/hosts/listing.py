"""List the hosts: whose each is, and whether it can run here."""

from dataclasses import MISSING, fields
from typing import Any

from polymnia.hosts.base import HOSTS


def listing() -> list[dict[str, Any]]:
    """Return one row for each registered host, without loading any weights.

    Keys: name, title, settings (name → default, None where one must be given), licence, citation, homepage, available,
    and get: what to do when it is not.
    """
    rows = []
    for name in HOSTS:
        host = HOSTS.get(name)
        card = host.card
        rows.append(
            {
                "name": name,
                "title": card.title,
                "settings": {f.name: None if f.default is MISSING else f.default for f in fields(host.Settings)},
                "licence": card.licence,
                "citation": card.citation,
                "homepage": card.homepage,
                "available": host.available(),
                "get": card.get,
            }
        )
    return rows
