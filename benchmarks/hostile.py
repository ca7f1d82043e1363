"""Damaged files of every kind, given to what reads them: each is read, or refused or set aside with a reason."""

import asyncio
import hashlib
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attempts import ASIDE, READ, REFUSED, Outcome, attempt, limited
from benchmarks.damage import damaged
from benchmarks.originals import Original, beside, originals

CASES, SEED = 10_000, 0
MEMORY, SECONDS = 4 * 2**30, 20.0
"""What a worker may use for one file: the defaults of the service's decoders."""
MISNAMED = 10
"""One file in so many has another kind's name."""
WORKERS = 2
PACKAGES = ("numpy", "pillow", "soundfile", "av", "pyarrow", "trimesh", "omegaconf")


@dataclass(frozen=True)
class Case:
    """One damaged file."""

    number: int
    original: Original
    damage: str
    suffix: str
    data: bytes


def cases(made: list[Original], *, share: float = 1.0, seed: int = SEED) -> Iterator[Case]:
    """Yield the damaged files: file n is the same whatever others are made."""
    everything = [original.data for original in made]
    endings = sorted(
        {original.suffix for original in made if original.reader not in ("manifest", "settings", "archive")}
    )
    first = 0
    for original in made:
        for number in range(first, first + round(original.cases * share)):
            random = np.random.default_rng([seed, number])
            damage, data = "", original.data
            while data == original.data:  # a field may hold the extreme already
                damage, data = damaged(original.data, everything, random, words=original.words)
            suffix = original.suffix
            if original.suffix in endings and number % MISNAMED == 0:
                suffix = str(random.choice([ending for ending in endings if ending != suffix]))
                damage = f"{damage}, named {suffix}"
            yield Case(number, original, damage, suffix, data)
        first += original.cases


def measure(*, files: int = CASES, seed: int = SEED, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Give every damaged file to its reader, in workers, and the values among them to the service's decoder too."""
    busy = os.getloadavg()[0]
    origin, made = originals()
    given = list(cases(made, share=files / CASES, seed=seed))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = _attempted(given, made, Path(folder), say)
    say(f"hostile: {len(given):,} files read in {time.perf_counter() - began:.0f} s")
    decoded = asyncio.run(_decoded(given))
    say(f"hostile: the service's decoder: {dict(decoded['outcomes'])}")
    failures = [_failure(case, why) for case, (what, why) in zip(given, found, strict=True) if what == "failed"]
    failures += decoded.pop("failures")
    return {
        "rows": _rows(made, given, found), "files": len(given), "failures": failures, "decoder": decoded,
        "ways": dict(Counter(way for case in given for way in case.damage.partition(",")[0].split(" + "))),
        "misnamed": sum(case.suffix != case.original.suffix for case in given),
        "met": not failures, "seed": seed, "origin": origin,
        "originals": {o.name: hashlib.sha256(o.data).hexdigest()[:16] for o in made},
        "limits": {"bytes": MEMORY, "seconds": SECONDS}, "workers": WORKERS,
        "machine": {"cores": os.cpu_count(), "load_before": round(busy, 1)},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }  # fmt: skip


def _attempted(given: list[Case], made: list[Original], folder: Path, say: Callable[[str], None]) -> list[Outcome]:
    from multiprocessing import get_context

    from pebble import ProcessPool

    found: list[Outcome] = []
    folders = [folder / str(number) for number in range(500)]
    for each in folders:
        each.mkdir()
        beside(each, made)
    for original in made:
        said = attempt(original.reader, original.suffix, original.data, str(folders[0]))
        assert said[0] == READ, f"{original.name} is not damaged, and yet {said}"
    with ProcessPool(max_workers=WORKERS, context=get_context("spawn"), initializer=limited, initargs=[MEMORY]) as pool:
        for first in range(0, len(given), 500):
            part = given[first : first + 500]
            futures = [
                pool.schedule(attempt, args=(case.original.reader, case.suffix, case.data, str(at)), timeout=SECONDS)
                for case, at in zip(part, folders, strict=False)
            ]
            for case, future in zip(part, futures, strict=True):
                found.append(_outcome(future))
                if found[-1][0] == "failed":
                    say(f"hostile: {case.number} ({case.original.name}, {case.damage}): {found[-1][1]}")
    return found


def _outcome(future: Any) -> Outcome:
    from concurrent.futures import TimeoutError

    from pebble import ProcessExpired

    try:
        return future.result()
    except TimeoutError:
        return "failed", f"took longer than {SECONDS:g} seconds"
    except ProcessExpired as error:
        return "failed", f"the process ended with {error.exitcode}"
    except BaseException as error:
        return "failed", f"{type(error).__name__}: {str(error)[:200]}"


async def _decoded(given: list[Case]) -> dict[str, Any]:
    """Give values to the service's decoder as a request does: told by its content, then read as each kind."""
    from polymnia.data.modality import MODALITIES
    from polymnia.errors import DataError
    from polymnia.service.decoding import Decoder
    from polymnia.service.settings import ServiceSettings

    decoder, at_once = Decoder(ServiceSettings(decoders=WORKERS)), asyncio.Semaphore(2 * WORKERS)
    outcomes: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []

    async def one(case: Case) -> None:
        async with at_once:
            try:
                kinds = await decoder.kinds(case.data)
                await decoder.read(kinds[0], case.data)
                outcomes[READ] += 1
            except DataError as error:
                outcomes[REFUSED] += 1
                if "broke the decoder" in str(error) or "takes longer" in str(error):  # contained, and yet it ended
                    failures.append(_failure(case, f"decoder: {error}"))
            except Exception as error:
                outcomes["failed"] += 1
                failures.append(_failure(case, f"decoder: {type(error).__name__}: {str(error)[:200]}"))

    try:
        await asyncio.gather(*(one(case) for case in given if case.original.reader in MODALITIES))
    finally:
        await asyncio.to_thread(decoder.close)
    return {"outcomes": dict(outcomes), "files": sum(outcomes.values()), "failures": failures}


def _failure(case: Case, why: str) -> dict[str, Any]:
    return {"number": case.number, "what": case.original.name, "damage": case.damage, "why": why}


def _rows(made: list[Original], given: list[Case], found: list[Outcome]) -> list[dict[str, Any]]:
    rows = []
    for original in made:
        said = [out for case, out in zip(given, found, strict=True) if case.original is original]
        counted = Counter(what for what, _ in said)
        rows.append({
            "what": original.name, "reader": original.reader, "files": len(said), "read": counted[READ],
            "aside": counted[ASIDE], "refused": counted[REFUSED], "failed": counted["failed"],
        })  # fmt: skip
    return rows
