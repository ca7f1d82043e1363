"""The service: routes over a model in use, and what runs beside them."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from polymnia import __version__
from polymnia.errors import PolymniaError, SettingsError, StateError
from polymnia.service.batching import Batcher, Busy
from polymnia.service.content import NoContent
from polymnia.service.current import Current
from polymnia.service.decoding import Decoder
from polymnia.service.figures import Figures
from polymnia.service.front import front
from polymnia.service.guard import Guard
from polymnia.service.routes import router
from polymnia.service.settings import ServiceSettings

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
STATUS: dict[type[Exception], int] = {StateError: 503, SettingsError: 409, NoContent: 404}
"""Of errors; of all others 422."""


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
        app.state.batcher = Batcher(
            _answering(current, figures), most=given.batch, wait=given.wait, waiting=given.waiting
        )
        beside = [
            asyncio.create_task(app.state.batcher.run()),
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
    app.add_exception_handler(PolymniaError, _refused)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(RequestValidationError, _malformed)
    return app


def _answering(current: Current, figures: Figures) -> Callable[[Any], Any]:
    def answer(things: Any) -> Any:
        figures.batches.observe(len(things))
        return current.predict(things)

    return answer


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


async def _refused(request: Request, error: Exception) -> JSONResponse:
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 422)
    return JSONResponse({"error": str(error)}, status_code=status)


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    wrong = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{'.'.join(map(str, each['loc'][1:])) or 'the body'}: {each['msg']}" for each in wrong)
    return JSONResponse({"error": said[:1000]}, status_code=422)


async def _busy(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "too many wait already; come again"}, status_code=503, headers={"retry-after": "1"})
