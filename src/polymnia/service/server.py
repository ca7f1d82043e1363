"""How the service runs: one process, HTTP/1.1, short headers, connections that do not linger."""

from pathlib import Path
from typing import Any

from polymnia.service.settings import ServiceSettings


def options(settings: ServiceSettings) -> dict[str, Any]:
    """Return what uvicorn is told."""
    from polymnia.service.patience import patient

    return {
        "host": settings.host, "port": settings.port, "http": patient(settings.header_seconds),
        "h11_max_incomplete_event_size": settings.max_headers, "limit_concurrency": 2 * settings.waiting,
        "timeout_keep_alive": 10, "log_level": "warning", "server_header": False, "date_header": False, "ws": "none",
    }  # fmt: skip


def serve(path: Path, settings: ServiceSettings) -> None:
    """Serve a model folder, or a run folder as it is, until asked to stop.

    Parameters
    ----------
    path : Path
        The folder.
    settings : ServiceSettings
        Where, for whom, and its limits.
    """
    import uvicorn

    from polymnia.service.app import create_app

    uvicorn.run(create_app(path, settings), **options(settings))
