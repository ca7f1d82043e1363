"""Fetch a Debian package's data without root, into a folder of our own."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path

from filelock import FileLock

from polymnia.errors import DataError

CLEARED = "".join(f"#clear APT::Update::{hook};\n" for hook in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"))
"""Hooks of the system's own updates, which are none of our business."""

NOTE = "fetched.json"


def home() -> Path:
    """Return Polymnia's folder for data and caches: `POLYMNIA_HOME`, or `~/.cache/polymnia`."""
    named = os.environ.get("POLYMNIA_HOME")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "polymnia"


def data_folder(name: str) -> Path:
    """Return where the data set of that name lies once it is fetched."""
    return home() / "data" / name


def fetch_debian(package: str, into: Path, *, only: Callable[[str], bool] | None = None) -> Path:
    """Download a Debian package and unpack it; return the folder, which is there whole or not at all.

    `apt-get` does the download from the system's own sources and checks signatures and hashes; its lists and its
    cache are temporary folders of ours, so that neither root nor filled lists are needed and nothing else on the
    machine is written. `fetched.json` in the folder says what came. Two processes may ask at once: one fetches,
    the other waits.

    Parameters
    ----------
    package : str
        The Debian package.
    into : Path
        The folder to make; when it is there already, nothing is done.
    only : callable, optional
        Path inside the package → whether to unpack it.

    Raises
    ------
    DataError
        There is no `apt-get`, or it cannot find or download the package, or the disk refuses.
    """
    into = into.expanduser()
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(into.parent / f".{into.name}.lock"):
            if (into / NOTE).is_file():
                return into
            if into.is_dir() and any(into.iterdir()):
                raise DataError(f"{into} is there already, and is no data set fetched by Polymnia; move it away first")
            for abandoned in into.parent.glob(f".{into.name}.part-*"):  # ours alone while we hold the lock
                shutil.rmtree(abandoned)
            with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.part-") as temporary:
                whole = _fetched(package, Path(temporary), only)
                whole.rename(into)
    except OSError as error:
        raise DataError(f"cannot write the data of {package} to {into}: {error.strerror or error}") from error
    return into


def _fetched(package: str, work: Path, only: Callable[[str], bool] | None) -> Path:
    """Return a finished folder inside `work`."""
    from polymnia.data.archive import unpack

    archive = download_debian(package, work)
    folder = work / "whole"
    unpack(archive, folder, only=only)
    with archive.open("rb") as file:
        note = {"package": package, "file": archive.name, "sha256": file_digest(file, "sha256").hexdigest()}
    (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    return folder


def download_debian(package: str, into: Path) -> Path:
    """Return the `.deb` of a package, downloaded by `apt-get` into a folder of ours."""
    if shutil.which("apt-get") is None:
        raise DataError(
            f"there is no apt-get on this machine to fetch the Debian package {package}. Unpack it elsewhere "
            f"(dpkg-deb -x {package}_*.deb FOLDER), copy the folder here and give it as path=FOLDER"
        )
    settings = into / "apt.conf"
    settings.write_text(CLEARED, encoding="utf-8")
    options = {
        "Dir::State::Lists": f"{into / 'lists'}/",
        "Dir::Cache": f"{into / 'cache'}/",
        "Debug::NoLocking": "1",
        "Acquire::Languages": "none",  # translated descriptions are half of the lists
        "Acquire::Retries": "2",
    }
    for folder in ("lists", "cache"):
        (into / folder / "partial").mkdir(parents=True)
    (into / "cache" / "archives" / "partial").mkdir(parents=True)
    command = ["apt-get", "--config-file", str(settings), *(f"-o{name}={value}" for name, value in options.items())]
    told = [_run([*command, *wanted], into) for wanted in (["update"], ["download", package])]
    found = sorted(into.glob(f"{package}_*.deb"))
    if not found:
        lines = dict.fromkeys(line for text in told for line in text.splitlines())  # each once: it repeats itself
        complaints = [x for x in lines if x.startswith(("E:", "W:", "Err:")) and "unsandboxed" not in x]
        raise DataError("\n".join([f"apt-get could not download {package}. It said:", *(complaints or told)]))
    return found[-1]


def _run(command: list[str], folder: Path) -> str:
    """Return what a command says; whether it did its work is seen by what it left."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return ran.stdout + ran.stderr
