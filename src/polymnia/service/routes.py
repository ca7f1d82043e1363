"""What can be asked of a service."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response

from polymnia.errors import DataError, SettingsError
from polymnia.evaluation.scores import is_share
from polymnia.growing.polymnia import Polymnia
from polymnia.growing.told import verdict_of
from polymnia.service.content import How, content_of, told
from polymnia.service.current import scores_of
from polymnia.service.schemas import FORM, Choice, Class, Encoded, Found, Like, Predicted, Problem, Written
from polymnia.service.things import Asked, asked_of

router = APIRouter()
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": said}
    for status, said in {
        400: "Not readable at all.", 401: "No token.", 404: "Nothing to show.", 408: "Too slow.",
        409: "Not with this model.", 413: "Too large.", 422: "Cannot be read.", 429: "Too often.",
        431: "Headers too large.", 503: "Busy, or nothing learned yet.",
    }.items()
}  # fmt: skip
SHOWN: dict[str, Any] = {
    "description": "A thumbnail, a sound or a film.",
    "content": {
        f"{kind}/*": {"schema": {"type": "string", "format": "binary"}} for kind in ("image", "audio", "video")
    },
}


async def _asked(request: Request) -> Asked:
    app = request.app.state
    return await asked_of(request, app.current.held.learned.kinds, app.decoder, app.settings)


def _whole(asked: Asked, name: str, default: int, most: int = 1000) -> int:
    given = asked.settings.get(name, str(default))
    if not given.isascii() or not given.isdecimal() or len(given) > 9 or not 1 <= int(given) <= most:
        raise DataError(f"{name}: {given[:40]!r} is given; a whole number from 1 to {most:,} is needed")
    return int(given)


@router.post("/predict", response_model=Predicted, responses=ERRORS, openapi_extra=FORM)
async def predict(request: Request) -> Predicted:
    """Say what a thing is: the likeliest classes."""
    asked = await _asked(request)
    top = _whole(asked, "top", 5)
    version, found = await request.app.state.batcher.ask(asked.values)
    if not found.classes:
        raise DataError("; ".join(f"{m}: {why}" for m, why in found.broken.items()))
    named = [Class(name=name, probability=p) for name, p in found.classes[:top]]
    return Predicted(version=version, classes=named, broken=dict(found.broken))


@router.post("/answer", response_model=Written, responses=ERRORS, openapi_extra=FORM)
async def answer(request: Request) -> Written:
    """Answer the question about a thing; of models that write."""
    asked = await _asked(request)
    question = asked.settings.get("question", "").strip()
    if not question:
        raise DataError("question: there is none. Without one, ask for a caption")
    return await _written(request, asked, question)


@router.post("/caption", response_model=Written, responses=ERRORS, openapi_extra=FORM)
async def caption(request: Request) -> Written:
    """Put a thing into words; of models that write."""
    return await _written(request, await _asked(request), "")


async def _written(request: Request, asked: Asked, question: str) -> Written:
    if len(question) > request.app.state.settings.max_text:
        most = request.app.state.settings.max_text
        raise DataError(f"question: has {len(question):,} characters; {most:,} are accepted")
    version, found = await request.app.state.writer.ask((asked.values, question))
    if not found.text and found.broken:
        raise DataError("; ".join(f"{m}: {why}" for m, why in found.broken.items()))
    return Written(version=version, text=found.text, broken=dict(found.broken))


@router.post("/search", response_model=Found, responses=ERRORS, openapi_extra=FORM)
async def search(request: Request) -> Found:
    """Find what is nearest to a text, a picture, a sound, among the values of all modalities or of one."""
    asked = await _asked(request)
    if len(asked.values) > 1:
        raise DataError(f"search asks by one value; {', '.join(asked.values)} are given")
    [(modality, value)] = asked.values.items()
    within, k = asked.settings.get("within") or None, _whole(asked, "k", 10)
    version, hits = await asyncio.to_thread(request.app.state.current.search, modality, value, within=within, k=k)
    kinds = request.app.state.current.held.learned.kinds
    return Found(version=version, hits=[Like(**told(hit.to_json(), kinds.get(hit.modality, ""))) for hit in hits])


@router.get("/content", responses={**ERRORS, 200: SHOWN}, response_class=Response)
async def content(
    request: Request,
    id: Annotated[str, Query(max_length=1000)],
    modality: Annotated[str, Query(max_length=200)],
    source: Annotated[str | None, Query(max_length=4000)] = None,
    how: How | None = None,
) -> Response:
    """Return what a hit looks or sounds like: a thumbnail, a sound or a film that the index holds as a file."""
    app = request.app.state
    found = await content_of(
        app.current, app.decoder, app.settings, id=id, modality=modality, source=source, how=how
    )  # fmt: skip
    return Response(found.data, media_type=found.media_type, headers={"cache-control": "no-store"})


@router.post("/encode", response_model=Encoded, responses=ERRORS, openapi_extra=FORM)
async def encode(request: Request) -> Encoded:
    """Return the vectors of a thing's values, as the model represents them."""
    asked = await _asked(request)
    version, found = await asyncio.to_thread(request.app.state.current.embed, asked.values)
    broken = {m: each.rejected[0] for m, each in found.items() if each.rejected}
    if broken:
        raise DataError("; ".join(f"{m}: {why}" for m, why in broken.items()))
    return Encoded(version=version, vectors={m: each.vectors[0].tolist() for m, each in found.items()})


@router.get("/model", responses=ERRORS)
async def model(request: Request) -> dict[str, Any]:
    """Return what is in use: its version, modalities, classes, and the matrix of its scores."""
    held = request.app.state.current.held
    learned = held.learned
    return {
        "version": held.version, "modalities": dict(learned.kinds), "classes": list(learned.class_names),
        "method": learned.method.name, "model": learned.method.model.name, "searchable": held.searcher is not None,
        "tells": learned.tells,
        "grows": request.app.state.current.model is not None,
        "scores": scores_of(held.folder),
    }  # fmt: skip


def _grown(request: Request) -> Polymnia:
    if request.app.state.current.model is None:
        raise SettingsError(f"{request.app.state.path.name} is a run folder, and has no history; serve a model folder")
    return Polymnia(request.app.state.path)


@router.get("/history", responses=ERRORS)
async def history(request: Request) -> dict[str, Any]:
    """Return everything that happened to the model, and what waits for a decision with its verdict."""
    grown = _grown(request)
    waiting = [{**asdict(e), "data": "", "verdict": _verdict(grown.folder.aside(e.version))} for e in grown.waiting()]
    entries = [{**asdict(entry), "data": entry.data.get("name", "")} for entry in grown.history()]
    return {"version": grown.version, "history": entries, "waiting": waiting}


def _verdict(folder: Path) -> dict[str, Any]:
    """Return a version's verdict, saying of each test set whether its scores are shares."""
    held = verdict_of(folder)
    return {**held, "compared": [{**each, "share": is_share(each["metric"])} for each in held["compared"]]}


@router.post("/accept", responses=ERRORS)
async def accept(request: Request, choice: Choice) -> dict[str, str]:
    """Take a version that waits or was kept aside into use."""
    await asyncio.to_thread(_grown(request).accept, choice.version, by=choice.by)
    await asyncio.to_thread(request.app.state.current.refresh)
    return {"version": request.app.state.current.held.version}


@router.post("/reject", responses=ERRORS)
async def reject(request: Request, choice: Choice) -> dict[str, str]:
    """Note that a version is not wanted."""
    await asyncio.to_thread(_grown(request).reject, choice.version, by=choice.by)
    return {"rejected": choice.version}


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the service runs."""
    return {"status": "ok"}


@router.get("/metrics", responses=ERRORS, response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Return what was counted, as Prometheus reads it."""
    figures = request.app.state.figures
    figures.version.info({"version": request.app.state.current.held.version})
    return Response(figures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
