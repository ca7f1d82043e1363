"""What a worker does with a damaged file: give it to whatever reads it in the product, and say what became of it."""

import os
import tempfile
import warnings
from contextlib import chdir
from pathlib import Path

import numpy as np

from polymnia.data.archive import unpack
from polymnia.data.check import check
from polymnia.data.modality import MODALITIES
from polymnia.data.own import source_asked_for, source_of
from polymnia.data.recognise import recognise
from polymnia.errors import DataError, PolymniaError

READ, ASIDE, REFUSED = "read", "set aside", "refused"
ARCHIVE = 64 * 2**20
"""Most bytes an archive may unpack to."""

Outcome = tuple[str, str]
"""What became of it, and the reason if it was not read."""


def limited(memory: int) -> None:
    """Limit a worker's memory, where the system can."""
    warnings.simplefilter("ignore")  # what Pillow says of damaged headers
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what mpg123 says of damaged frames
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def attempt(reader: str, suffix: str, data: bytes, folder: str) -> Outcome:
    """Return what became of one file; anything but a sound value or a reason is an exception, which is a failure."""
    if reader in ("manifest", "settings"):
        return _looked_through(data, suffix, Path(folder))
    if reader == "archive":
        return _unpacked(data)
    if suffix not in MODALITIES.get(reader).suffixes:
        return _misnamed(reader, suffix, data)
    found = _value(reader, data)
    try:
        kinds = recognise(data)
    except DataError as error:
        assert str(error), "refused without a reason"
        kinds = ()
    for kind in kinds:
        if kind != reader:
            _value(kind, data)
    return found


def _value(modality: str, data: bytes) -> Outcome:
    try:
        value = MODALITIES.get(modality)().read(data)
    except DataError as error:
        return _refused(error)
    if isinstance(value, str):
        assert value.strip(), "read as an empty text"
    else:
        assert value.size, "read as nothing"
        assert value.dtype == np.uint8 or np.isfinite(value).all(), "read with numbers that are not finite"
    return READ, ""


def _misnamed(modality: str, suffix: str, data: bytes) -> Outcome:
    """Read a file by a manifest that names it, under a name that ends as another kind's."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"file{suffix}").write_bytes(data)
        manifest = Path(folder) / "data.csv"
        manifest.write_text(f"value,caption,label\nfile{suffix},a cow,cow\n,an ox,ox\n")
        found = check(source_of({"name": "manifest", "path": str(manifest), "kinds": {"value": modality}}))
        return (ASIDE, found.rejected[0].reason) if found.rejected else (READ, "")


def _looked_through(data: bytes, suffix: str, folder: Path) -> Outcome:
    """Do as `polymnia check` does with a manifest, or with a file of settings that names one."""
    path = folder / f"damaged{suffix}"
    path.write_bytes(data)
    try:
        with chdir(folder):  # paths in settings are relative to where the command runs
            found = check(source_of(source_asked_for(str(path))))
    except PolymniaError as error:
        return _refused(error)
    finally:
        path.unlink()
    if not found.rejected:
        return READ, ""
    assert all(rejected.reason for rejected in found.rejected), "set aside without a reason"
    return ASIDE, found.rejected[0].reason


def _unpacked(data: bytes) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / "inside"
        (Path(folder) / "archive").write_bytes(data)
        try:
            unpack(Path(folder) / "archive", inside, limit=ARCHIVE)
        except DataError as error:
            return _refused(error)
        finally:
            left = sorted(path.name for path in Path(folder).iterdir())
            assert left in (["archive"], ["archive", "inside"]), f"left behind: {left}"
        return READ, ""


def _refused(error: PolymniaError) -> Outcome:
    assert str(error).strip(), "refused without a reason"
    return REFUSED, str(error)
