"""The page at `/` and its files: these and no others, whatever is asked for."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

front = APIRouter(include_in_schema=False)
PAGE = Path(__file__).parent / "page"
SCRIPTS = ("page", "tools", "ask", "hits", "record", "scores", "decide")
FILES = {
    "/page.css": "text/css",
    "/favicon.svg": "image/svg+xml",
    **{f"/{name}.js": "text/javascript" for name in SCRIPTS},
}
"""Path → media type of what the page loads."""


@front.get("/")
async def page() -> FileResponse:
    """Return the page."""
    return _file("index.html", "text/html")


async def part(request: Request) -> FileResponse:
    """Return a file of the page."""
    path = request.scope["route"].path
    return _file(path.removeprefix("/"), FILES[path])


for _path in FILES:
    front.add_api_route(_path, part)


def _file(name: str, media_type: str) -> FileResponse:
    return FileResponse(PAGE / name, media_type=media_type, headers={"cache-control": "no-cache"})
