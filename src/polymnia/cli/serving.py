"""The verb that serves a model over HTTP."""

import os
from pathlib import Path
from typing import Annotated

import typer

from polymnia.cli.console import say


def serve(
    model: Annotated[Path, typer.Argument(help="A model folder, or a run folder as it is.")],
    settings: Annotated[list[str] | None, typer.Argument(help="Limits: max_bytes=… rate=… batch=…")] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; elsewhere than on loopback a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8000,
    token: Annotated[
        str | None, typer.Option(help="Of all requests; default: POLYMNIA_TOKEN of the environment.")
    ] = None,
) -> None:
    """Serve a model: it predicts, searches and encodes, takes up new stages as it runs, and shows a page at /."""
    from polymnia.config import read, typed
    from polymnia.errors import MissingExtra
    from polymnia.service.settings import ServiceSettings

    given = {
        "host": host,
        "port": port,
        "token": token or os.environ.get("POLYMNIA_TOKEN"),
        **read(None, settings or []),
    }
    limits = typed(ServiceSettings, given, where="service", owner="service")
    try:
        from polymnia.service.server import serve as run
    except ImportError as error:
        raise MissingExtra(error.name or "fastapi", "serve") from None
    say(f"{model}: http://{limits.host}:{limits.port}/ (the page), /openapi.json, /metrics; Ctrl-C ends it")
    run(model, limits)
