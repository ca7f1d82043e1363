"""Archives unpacked with care: nothing lands outside the folder, and nothing grows beyond a limit."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from polymnia.errors import DataError

LIMIT = 8 * 2**30
"""Most bytes an archive may unpack to."""
MEMBERS = 1_000_000
"""Most members an archive may have."""


@dataclass(frozen=True)
class Member:
    """One entry: a file (with its content), a folder, or a link (with its target)."""

    name: str
    data: IO[bytes] | None = None
    target: str | None = None
    hard: bool = False


def unpack(archive: Path, into: Path, *, only: Callable[[str], bool] | None = None, limit: int = LIMIT) -> Path:
    """Unpack a `.deb`, `.zip` or tar archive (plain, gz, bz2, xz, zst) into a new folder, all of it or nothing.

    Everything is written beside `into` under a temporary name, which becomes `into` at the end. What the archive is,
    is decided by its content. Files get ordinary permissions; owners and times are not kept.

    Parameters
    ----------
    archive : Path
        The file.
    into : Path
        A folder that does not exist yet, or is empty.
    only : callable
        Takes a member's name (as `usr/share/a.png`) and says whether it is wanted.
    limit : int
        Most bytes to write.

    Raises
    ------
    DataError
        The archive is damaged, of another kind, too large, or names a path, link or device that leads out of `into`.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise DataError(f"{into} exists already; remove it, or unpack somewhere else")
    into.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{into.name}-", dir=into.parent))
    try:
        with archive.open("rb") as file:
            _write(members(file), temporary, only or (lambda name: True), limit)
        temporary.chmod(0o755)
        if into.exists():
            into.rmdir()
        temporary.rename(into)
    except Exception as error:  # the formats' readers share no error type
        raise DataError(f"{archive}: {_reason(error, into)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # gone already when all went well
    return into


def _reason(error: Exception, into: Path) -> str:
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:  # the disk's or the folder's fault, not the archive's
        return f"cannot be unpacked into {into}: {error.strerror}"
    return f"is not a readable archive: {str(error) or type(error).__name__}"


def members(file: IO[bytes]) -> Iterator[Member]:
    """Yield the members of an archive of any accepted kind; a file's content must be read before the next member."""
    magic = _peek(file, 8)
    if magic == b"!<arch>\n":
        yield from _tar(_plain(_deb_data(file)))
    elif magic.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield from _zip(file)
    else:
        yield from _tar(_plain(file))


def _write(entries: Iterator[Member], root: Path, only: Callable[[str], bool], limit: int) -> None:
    """Write members below a folder: links last, so that no file is ever written through one."""
    links: list[Member] = []
    written = 0
    for number, member in enumerate(entries):
        if number >= MEMBERS:
            raise DataError(f"has more than {MEMBERS:,} members")
        name = inside(member.name)
        if not name or not only(name):
            continue
        path = root / name
        if member.target is not None:
            links.append(member)
        elif member.data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                while block := member.data.read(1 << 20):
                    written += len(block)
                    if written > limit:
                        raise DataError(f"unpacks to more than {limit:,} bytes, the limit")
                    out.write(block)
    _link(links, root)


def _link(links: list[Member], root: Path) -> None:
    """Make the links, and refuse them all when one leads outside, be it through another link."""
    made = []
    for link in links:
        path = root / inside(link.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert link.target is not None
        if link.hard:
            source = root / inside(link.target)
            _contained(source, root, link)
            if not source.is_file():
                raise DataError(f"{link.name!r} is a link to {link.target!r}, which is not in what is unpacked")
            shutil.copyfile(source, path)
        else:
            if PurePosixPath(link.target).is_absolute():
                raise DataError(f"{link.name!r} is a link to the absolute path {link.target!r}")
            _contained(path.parent, root, link)
            path.symlink_to(link.target)
            made.append((path, link))
    for path, link in made:
        _contained(path, root, link)


def _contained(path: Path, root: Path, link: Member) -> None:
    real = os.path.realpath(path)
    if not Path(real).is_relative_to(os.path.realpath(root)):
        raise DataError(f"{link.name!r} is a link to {link.target!r}, which leads out of the folder")


def inside(name: str) -> str:
    """Return a member's name without `./`, or refuse it when it could lead out of the folder.

    Examples
    --------
    >>> inside("./usr/share/a.png")
    'usr/share/a.png'
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.anchor or windows.drive:
        raise DataError(f"member {name!r} is an absolute path")
    if ".." in posix.parts or ".." in windows.parts:
        raise DataError(f"member {name!r} leads out of the folder")
    if "\0" in name:
        raise DataError(f"member {name!r} has a null byte in its name")
    return "" if posix == PurePosixPath(".") else str(posix)


class _Strict(tarfile.TarInfo):
    """A damaged header ends the reading with an error; tarfile alone takes it for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
        try:
            return super().frombuf(buf, encoding, errors)
        except (
            tarfile.EmptyHeaderError,  # ty: ignore[missing-attribute]
            tarfile.TruncatedHeaderError,  # ty: ignore[missing-attribute]
            tarfile.InvalidHeaderError,  # ty: ignore[missing-attribute]
        ) as error:
            raise tarfile.ReadError(f"truncated, damaged, or not an archive ({error})") from None


def _tar(stream: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Strict) as tar:
        for entry in tar:
            if entry.isdir():
                yield Member(entry.name)
            elif entry.isfile():
                yield Member(entry.name, data=tar.extractfile(entry))
            elif entry.issym() or entry.islnk():
                yield Member(entry.name, target=entry.linkname, hard=entry.islnk())
            else:
                raise DataError(f"member {entry.name!r} is a device or a pipe")
    rest = 0
    while block := stream.read(1 << 20):  # to the end, where compressed streams keep their checksum
        rest += len(block)
        if rest > 2**26:
            raise DataError("goes on for more than 64 MiB after its end mark")


def _zip(file: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            if entry.flag_bits & 1:
                raise DataError(f"member {entry.filename!r} is encrypted")
            if entry.is_dir():
                yield Member(entry.filename)
            elif stat.S_ISLNK(mode):
                with archive.open(entry) as target:
                    yield Member(entry.filename, target=target.read(4096).decode(errors="surrogateescape"))
            elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                with archive.open(entry) as data:
                    yield Member(entry.filename, data=data)
            else:
                raise DataError(f"member {entry.filename!r} is a device or a pipe")


def _deb_data(file: IO[bytes]) -> IO[bytes]:
    """Return the `data.tar.*` inside a Debian package, which is an `ar` archive of headers of 60 bytes."""
    file.seek(8)
    while header := file.read(60):
        if len(header) < 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise DataError("is truncated or damaged: a package's header is not complete")
        name, size = header[:16].decode(errors="replace").strip().rstrip("/"), int(header[48:58])
        if name.startswith("data.tar"):
            data = file.read(size)
            if len(data) < size:
                raise DataError(f"is truncated: {name} has {len(data):,} of {size:,} bytes")
            return io.BytesIO(data)
        file.seek(size + size % 2, os.SEEK_CUR)
    raise DataError("is truncated, or not a Debian package: it holds no data.tar")


def _plain(file: IO[bytes]) -> Any:
    """Return the uncompressed stream of a file that may be compressed."""
    magic = _peek(file, 6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(file)
    if magic == b"\xfd7zXZ\0":
        return lzma.open(file)
    if magic.startswith(b"BZh"):
        return bz2.open(file)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd(file)
    return file


def _zstd(file: IO[bytes]) -> IO[bytes]:
    import pyarrow

    if not pyarrow.Codec.is_available("zstd"):
        raise DataError(
            "is compressed with zstd, which this pyarrow was built without; unpack it with `dpkg-deb -x` "
            "or `tar --zstd -xf` and give the folder"
        )
    return pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd")


def _peek(file: IO[bytes], count: int) -> bytes:
    at = file.tell()
    magic = file.read(count)
    file.seek(at)
    return magic
