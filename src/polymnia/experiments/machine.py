"""What kind of machine and which versions a result depends on; nothing that names the machine or its owner."""

import hashlib
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

import polymnia
from polymnia.training.folder import environment

DECIDING = ("data", "encoders", "evaluation", "layers", "losses", "memory", "methods", "models", "training")
GROUND = ("config.py", "randomness.py", "registry.py", "state.py")


def machine(jobs: int = 1) -> dict[str, Any]:
    """Return the kind of machine: processor, cores, threads in use, memory, operating system, accelerator.

    Parameters
    ----------
    jobs : int
        How many processes share it; noted if there are several, for it is seen in how long things take.
    """
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "memory_gib": memory_gib(),
        "system": system(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        **({"jobs": jobs} if jobs > 1 else {}),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, Polymnia and the packages that results depend on."""
    here = environment()
    return {"polymnia": here["polymnia"], "code": code(), "python": here["python"], **here["versions"]}


@cache
def code() -> str:
    """Return a digest of the code that scores depend on; a version number stays the same while code changes.

    It is taken once a process, at the start, since that is the code which the process goes on to run.
    """
    root = Path(polymnia.__file__).parent
    files = [path for folder in DECIDING for path in (root / folder).rglob("*.py")]
    total = hashlib.sha256()
    for path in sorted((*files, *(root / name for name in GROUND))):
        total.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return total.hexdigest()[:12]


def processor() -> str:
    """Return the kind of processor, in its maker's words where the system tells."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> int | None:
    """Return the machine's memory in GiB, rounded, or None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):  # not a POSIX system
        return None


def system() -> str:
    """Return the operating system's name and version."""
    if sys.platform == "linux":
        try:
            return platform.freedesktop_os_release()["PRETTY_NAME"]
        except (OSError, KeyError):
            return "Linux"
    return f"{platform.system()} {platform.release()}"


def agreed(many: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what several descriptions have in common: key → value, or the list of values where they differ.

    Examples
    --------
    >>> agreed([{"cores": 2, "system": "Debian"}, {"cores": 8, "system": "Debian"}])
    {'cores': [2, 8], 'system': 'Debian'}
    >>> agreed([{"cores": [2, 8]}, {"cores": 16}])
    {'cores': [2, 8, 16]}
    """
    found: dict[str, list[Any]] = {}
    for one in many:
        for key, value in one.items():
            held = found.setdefault(key, [])
            held += [each for each in (value if isinstance(value, list) else [value]) if each not in held]
    return {key: held[0] if len(held) == 1 else held for key, held in found.items()}
