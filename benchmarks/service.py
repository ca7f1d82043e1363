"""The service under load: predictions and searches of many clients at once, a stage accepted in the middle."""

import json
import os
import platform
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.served import EACH, ENCODERS, FIRST, SECOND, Served, made, service

CLIENTS = 8
REQUESTS = {"predict": 500, "search": 500, "both": 1200}
"""Of each part; `both` takes turns, and a stage is accepted when half of it is done."""
PATIENCE = 60.0
"""Seconds that a client waits for an answer."""
PACKAGES = ("fastapi", "uvicorn", "torch", "onnxruntime", "lancedb", "numpy")
BOUNDARY = "a-boundary-of-parts"


@dataclass(frozen=True)
class Asked:
    """A request that is ready to be sent."""

    what: str
    path: str
    kind: str
    body: bytes


@dataclass
class Answered:
    """What became of a request: status 0 is no answer at all."""

    what: str
    began: float
    seconds: float
    status: int
    version: str = ""
    why: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is not an answer with something in it."""
        return self.status != 200 or bool(self.why)


@dataclass
class Part:
    """What clients did in one part of the load."""

    answers: list[Answered] = field(default_factory=list)
    seconds: float = 0.0
    accepted: float | None = None
    """When the answer to the acceptance was there."""
    accepting: float | None = None
    """Seconds that it took."""


def requests(served: Served) -> dict[str, list[Asked]]:
    """Return what is asked, by what: texts, pictures, and both together."""
    pictures, texts = served.pictures, served.texts
    predict = [
        asked
        for picture, text in zip(pictures, texts, strict=True)
        for asked in (
            _form("predict", "/predict", {"text": text}),
            _form("predict", "/predict", {"image": picture}),
            _form("predict", "/predict", {"image": picture, "text": text}),
        )
    ]
    search = [
        asked
        for picture, text in zip(pictures, texts, strict=True)
        for asked in (
            _form("search", "/search", {"text": text, "within": "text", "k": "10"}),
            _form("search", "/search", {"image": picture, "within": "image", "k": "10"}),
        )
    ]
    both = [asked for pair in zip(predict, cycle(search), strict=False) for asked in pair]
    return {"predict": predict, "search": search, "both": both}


def _form(what: str, path: str, fields: dict[str, str | bytes]) -> Asked:
    parts = []
    for name, value in fields.items():
        file = '; filename="file"' if isinstance(value, bytes) else ""
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'
        parts.append(head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n")
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return Asked(what, path, f"multipart/form-data; boundary={BOUNDARY}", body)


class Client:
    """A client that asks one thing after another over one connection."""

    def __init__(self, port: int) -> None:
        self.line = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, asked: Asked) -> Answered:
        """Return what became of a request."""
        began = time.perf_counter()
        try:
            self.line.request("POST", asked.path, asked.body, {"content-type": asked.kind})
            answer = self.line.getresponse()
            held: Any = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            self.line.close()  # the next request opens another
            return Answered(asked.what, began, time.perf_counter() - began, 0, why=f"{type(error).__name__}: {error}")
        taken = time.perf_counter() - began
        if answer.status != 200:
            return Answered(asked.what, began, taken, answer.status, why=str(held)[:200])
        there = held.get("classes") or held.get("hits") or held.get("version")
        return Answered(asked.what, began, taken, 200, held.get("version", ""), "" if there else "an empty answer")


def load(port: int, asked: list[Asked], count: int, *, accept: str = "") -> Part:
    """Ask `count` times with all clients at once; when half of it is done, one more accepts a version."""
    part, turns, lock, half = Part(), iter(range(count)), threading.Lock(), threading.Event()

    def work() -> None:
        client = Client(port)
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                break
            if turn == count // 2:
                half.set()
            answered = client.ask(asked[turn % len(asked)])
            with lock:
                part.answers.append(answered)
        client.line.close()

    def decide() -> None:
        half.wait()
        body = json.dumps({"version": accept, "by": "the benchmark"}).encode()
        answered = Client(port).ask(Asked("accept", "/accept", "application/json", body))
        part.accepted, part.accepting = time.perf_counter(), answered.seconds
        if answered.failed or answered.version != accept:
            with lock:
                part.answers.append(
                    Answered("accept", answered.began, answered.seconds, answered.status, why=answered.why)
                )

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    threads += [threading.Thread(target=decide)] if accept else []
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    part.seconds = time.perf_counter() - began
    return part


def measure(*, requests_of: dict[str, int] = REQUESTS, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Put a service over a real model under load, and count what failed."""
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="polymnia-service-") as folder:
        served = made(Path(folder))
        say(f"service: {served.versions[0]} is in use, {served.versions[1]} waits; {served.rows:,} rows are indexed")
        asked = requests(served)
        with service(served.folder) as port:
            for part in asked.values():
                load(port, part, 2 * CLIENTS)  # warms what is loaded at the first request
            parts = {}
            for name, count in requests_of.items():
                accept = served.versions[1] if name == "both" else ""
                parts[name] = load(port, asked[name], count, accept=accept)
                say(f"service: {name}: {count:,} requests in {parts[name].seconds:.1f} s")
    return _found(served, parts, busy)


def _found(served: Served, parts: dict[str, Part], busy: float) -> dict[str, Any]:
    rows = [
        _row(name, what, part)
        for name, part in parts.items()
        for what in (("predict", "search") if name == "both" else (name,))
    ]
    every = [answer for part in parts.values() for answer in part.answers]
    failures = [answer for answer in every if answer.failed]
    both = parts["both"]
    # a request that began once the acceptance was answered may not be answered by the version before
    late = [a for a in both.answers if both.accepted and a.began > both.accepted and a.version != served.versions[1]]
    return {
        "rows": rows, "requests": len(every), "failed": len(failures), "late": len(late),
        "failures": [{"what": a.what, "status": a.status, "why": a.why} for a in failures[:20]],
        "versions_answered": dict(sorted(Counter(answer.version for answer in both.answers).items())),
        "accept_seconds": round(both.accepting or 0.0, 3),
        "met": not failures and not late and {a.version for a in both.answers} == set(served.versions),
        "settings": {"clients": CLIENTS, "encoders": ENCODERS, "method": "replay", "samples_a_class": EACH,
                     "classes": [len(FIRST), len(SECOND)], "index_rows": served.rows, "origin": served.origin},
        "machine": {"cores": os.cpu_count(), "load_before": round(busy, 1)},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }  # fmt: skip


def _row(name: str, what: str, part: Part) -> dict[str, Any]:
    answers = [answer for answer in part.answers if answer.what == what]
    taken = 1000 * np.array([answer.seconds for answer in answers])
    return {
        "what": what, "beside": "the other, and a stage accepted" if name == "both" else "", "requests": len(answers),
        "failed": sum(answer.failed for answer in answers), "a_second": round(len(answers) / part.seconds, 1),
        **{f"p{q}_ms": round(float(np.percentile(taken, q)), 1) for q in (50, 99)},
        "most_ms": round(float(taken.max()), 1),
    }  # fmt: skip
