"""What a refused request is told: always a reason in the form that the description states, whatever was sent."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from polymnia.errors import PolymniaError, SettingsError, StateError
from polymnia.service.batching import Busy
from polymnia.service.content import NoContent

STATUS: dict[type[Exception], int] = {StateError: 503, SettingsError: 409, NoContent: 404}
"""Of errors; of all others 422."""
MOST = 2000
"""Characters of a reason: a name that was sent may be of any length."""


def add_handlers(app: FastAPI) -> None:
    """Answer every refusal of the service, and of what it is built on, with a reason."""
    app.add_exception_handler(PolymniaError, _refused)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(RequestValidationError, _misshapen)
    app.add_exception_handler(HTTPException, _not_here)


def problem(status: int, why: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a refusal; what no text may hold (half of a surrogate pair) becomes a question mark."""
    said = why if len(why) <= MOST else f"{why[:MOST]} …"
    return JSONResponse({"error": said.encode(errors="replace").decode()}, status_code=status, headers=headers)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 422)
    path = request.app.state.path  # where the model is on this machine is nobody's business
    return problem(status, str(error).replace(str(path), path.name))


async def _busy(request: Request, error: Exception) -> JSONResponse:
    return problem(503, "too many wait already; come again", {"retry-after": "1"})


async def _misshapen(request: Request, error: Exception) -> JSONResponse:
    """Say which fields are wrong, and how; what they held is not sent back, because it need not be writable as JSON."""
    assert isinstance(error, RequestValidationError)
    wrong = [f"{'.'.join(map(str, each['loc'][1:])) or 'the body'}: {each['msg']}" for each in error.errors()]
    return problem(422, "; ".join(wrong))


async def _not_here(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))
