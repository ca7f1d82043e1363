"""Who may ask, how often, how much and how slowly: before anything of a request is read further."""

import asyncio
import hmac
import json
import time
from collections import OrderedDict
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polymnia.service.front import FILES
from polymnia.service.settings import ServiceSettings

OPEN = frozenset({"/health", "/", *FILES})
"""What is given to anybody: no more than that there is a service, and a page that asks for the token."""
REMEMBERED = 10_000
"""Addresses whose rates are known."""


class Guard:
    """Refuses requests without the token, too many, too large or too slow ones.

    Parameters
    ----------
    app : ASGI application
        Gets the others.
    settings : ServiceSettings
        The limits.
    """

    def __init__(self, app: ASGIApp, *, settings: ServiceSettings) -> None:
        self.app, self.settings = app, settings
        self.tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not self._within_rate(scope):
            await refuse(send, 429, "too many requests; come again in a second", {"retry-after": "1"})
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > self.settings.max_headers:
            await refuse(send, 431, f"the headers have more than {self.settings.max_headers:,} bytes")
        elif scope["path"] not in OPEN and not self._known(headers):
            await refuse(send, 401, "a token is needed: Authorization: Bearer …", {"www-authenticate": "Bearer"})
        elif _announced(headers) > self.settings.max_bytes:
            await refuse(send, 413, _too_large(self.settings), {"connection": "close"})
        else:
            await self._passed(scope, receive, send)

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what its body does wrong while it comes in is answered in place of any other answer."""
        body = _Body(receive, self.settings)
        begun = False

        async def checked(message: Message) -> None:
            nonlocal begun
            if body.refused is None or begun:
                begun = True
                await send(message)

        try:
            await self.app(scope, body.receive, checked)
        except Exception:
            if body.refused is None:
                raise
        if body.refused is not None and not begun:
            await refuse(send, *body.refused, {"connection": "close"})

    def _known(self, headers: dict[bytes, bytes]) -> bool:
        if not self.settings.token:
            return True
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), self.settings.token.encode())

    def _within_rate(self, scope: Scope) -> bool:
        """Take one of the address's allowance, which fills again as time goes by."""
        client = scope.get("client")
        address = client[0] if client else ""
        now = time.monotonic()
        left, before = self.tokens.pop(address, (float(self.settings.burst), now))
        left = min(self.settings.burst, left + (now - before) * self.settings.rate)
        self.tokens[address] = (max(left - 1, 0.0) if left >= 1 else left, now)
        while len(self.tokens) > REMEMBERED:
            self.tokens.popitem(last=False)
        return left >= 1


class _Body:
    """A request's body as it comes in: refused when it is too large, or not there in time."""

    def __init__(self, receive: Receive, settings: ServiceSettings) -> None:
        self._receive, self.settings = receive, settings
        self.until = time.monotonic() + settings.body_seconds
        self.held, self.whole = 0, False
        self.refused: tuple[int, str] | None = None

    async def receive(self) -> Message:
        """Return the next part; of a refused one, that whoever asked has gone."""
        if self.whole:
            return await self._receive()  # nothing is left but the end of the connection
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self.until - time.monotonic()))
        except TimeoutError:
            return self._refuse(408, f"the body was not there within {self.settings.body_seconds:g} seconds")
        self.held += len(message.get("body", b""))
        if self.held > self.settings.max_bytes:
            return self._refuse(413, _too_large(self.settings))
        self.whole = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    def _refuse(self, status: int, why: str) -> Message:
        self.refused, self.whole = (status, why), True
        return {"type": "http.disconnect"}


def _too_large(settings: ServiceSettings) -> str:
    return f"the body has more than the {settings.max_bytes:,} bytes that are accepted"


def _announced(headers: dict[bytes, bytes]) -> int:
    """Return the length that a request states; 0 where it states none that is a number."""
    given = headers.get(b"content-length", b"0")
    return int(given) if given.isdigit() else 0


async def refuse(send: Send, status: int, why: str, headers: dict[str, str] | None = None) -> None:
    """Answer with an error in JSON."""
    body = json.dumps({"error": why}).encode()
    more: list[Any] = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
