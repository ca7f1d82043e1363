"""The service: routes over a model in use, and what runs beside them."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from polymnia import __version__
from polymnia.errors import PolymniaError
from polymnia.service.batching import Batcher
from polymnia.service.current import Current
from polymnia.service.decoding import Decoder
from polymnia.service.figures import Figures
from polymnia.service.front import front
from polymnia.service.guard import Guard
from polymnia.service.problems import add_handlers
from polymnia.service.routes import router
from polymnia.service.settings import ServiceSettings

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def create_app(path: Path, settings: ServiceSettings | None = None) -> FastAPI:
    """Return the service over a model folder, or over a run folder as it is.

    Parameters
    ----------
    path : Path
        The folder.
    settings : ServiceSettings, optional
        Its limits.

    Raises
    ------
    StateError
        It is neither, or damaged.
    MissingExtra
        Something that it needs is not installed.
    """
    given = settings or ServiceSettings()
    current, figures = Current(path), Figures()
    current.refresh()

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncGenerator[None]:
        figures.started.set_to_current_time()
        app.state.decoder = Decoder(given)
        limits = {"most": given.batch, "wait": given.wait, "waiting": given.waiting}
        app.state.batcher = Batcher(_counted(current.predict, figures), **limits)
        app.state.writer = Batcher(_counted(current.answer, figures), **limits)
        beside = [
            asyncio.create_task(app.state.batcher.run()),
            asyncio.create_task(app.state.writer.run()),
            asyncio.create_task(_refreshing(current, figures, given)),
        ]
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            for task in beside:
                with suppress(asyncio.CancelledError):
                    await task
            await asyncio.to_thread(app.state.decoder.close)

    app = FastAPI(
        title="Polymnia",
        version=__version__,
        description="A model in use: it predicts, searches and encodes, and shows what it kept.",
        lifespan=running,
        docs_url=None,  # their page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.path, app.state.settings, app.state.current, app.state.figures = path, given, current, figures
    app.include_router(router)
    app.include_router(front)
    app.middleware("http")(_noting)
    app.add_middleware(Guard, settings=given)
    add_handlers(app)
    return app


def _counted(answer: Callable[[Any], Any], figures: Figures) -> Callable[[Any], Any]:
    def counted(things: Any) -> Any:
        figures.batches.observe(len(things))
        return answer(things)

    return counted


async def _refreshing(current: Current, figures: Figures, settings: ServiceSettings) -> None:
    """Look now and then whether another version is in use; it is loaded beside the one that answers meanwhile."""
    while True:
        try:
            if await asyncio.to_thread(current.refresh):
                figures.reloads.inc()
        except (PolymniaError, OSError) as error:  # the version that answers goes on answering; it is looked again
            figures.failures.inc()
            log.warning("what is in use in %s cannot be taken up: %s", current.path, error)
        await asyncio.sleep(settings.refresh)


async def _noting(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Count a request under its route, and send what keeps a browser from loading anything from elsewhere."""
    began = time.perf_counter()
    response = await go_on(request)
    figures: Figures = request.app.state.figures
    path = getattr(request.scope.get("route"), "path", "other")  # not what was asked for: that may be anything
    figures.requests.labels(path, str(response.status_code)).inc()
    figures.seconds.labels(path).observe(time.perf_counter() - began)
    response.headers["content-security-policy"] = POLICY
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["referrer-policy"] = "no-referrer"
    response.headers["permissions-policy"] = "microphone=(self), camera=(), geolocation=()"
    return response
