"""What a user states of data of their own: it stands on the cards of what is learned from them."""

from dataclasses import dataclass, replace
from typing import Any

from polymnia.data.source import Source

UNSTATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class Stated:
    """Settings that every source of own data has."""

    title: str = ""
    licence: str = ""
    citation: str = ""


class OwnSource(Source):
    """Base of sources of own data: their card says what the settings say."""

    settings: Any

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        said = {name: getattr(self.settings, name) for name in ("title", "licence", "citation")}
        vars(self)["card"] = replace(self.card, **{name: value for name, value in said.items() if value})
