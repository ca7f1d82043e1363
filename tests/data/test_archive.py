import bz2
import gzip
import io
import lzma
import resource
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from polymnia.data.archive import unpack
from polymnia.errors import DataError

FILES = {"a.txt": b"one", "deep/er/b.bin": bytes(range(256)) * 50, "empty": b""}


def zstd(data: bytes) -> bytes:
    import pyarrow

    packed = pyarrow.Codec("zstd").compress(data, asbytes=True)
    assert isinstance(packed, bytes)
    return packed


PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


def entry(name: str, kind=tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def tar(files=FILES, extra=()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            archive.addfile(entry(name, size=len(data)), io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return out.getvalue()


def zipped(files=FILES, links=()) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for name, target in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return out.getvalue()


def deb(data: bytes, name: str = "data.tar.xz") -> bytes:
    """Return a Debian package: an `ar` archive of a version, control files and data."""
    packed = b"!<arch>\n"
    for member, body in [("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), (name, data)]:
        packed += f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode()
        packed += body + b"\n" * (len(body) % 2)
    return packed


@pytest.fixture
def into(tmp_path):
    return tmp_path / "out"


def given_file(tmp_path, data: bytes) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(data)
    return path


def held(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(tmp_path, into, data: bytes, reason: str, **options) -> None:
    """Assert that an archive is refused, and that nothing is left behind, inside or outside."""
    before = names(tmp_path)
    path = given_file(tmp_path, data)
    with pytest.raises(DataError, match=reason) as caught:
        unpack(path, into, **options)
    assert str(path) in str(caught.value)
    assert names(tmp_path) == sorted({*before, "archive"})


@pytest.mark.parametrize("suffix", PACKERS)
def test_tar_with_every_compression(tmp_path, into, suffix):
    assert unpack(given_file(tmp_path, PACKERS[suffix](tar())), into) == into
    assert held(into) == FILES


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_debian_package_with_every_compression(tmp_path, into, suffix):
    unpack(given_file(tmp_path, deb(PACKERS[suffix](tar()), f"data.tar{suffix}")), into)
    assert held(into) == FILES


def test_zip(tmp_path, into):
    unpack(given_file(tmp_path, zipped()), into)
    assert held(into) == FILES


def test_only_what_is_wanted_is_written_and_names_come_without_a_dot(tmp_path, into):
    seen = []
    data = tar({f"./{name}": body for name, body in FILES.items()})
    unpack(given_file(tmp_path, data), into, only=lambda name: seen.append(name) or name.startswith("deep"))
    assert held(into) == {"deep/er/b.bin": FILES["deep/er/b.bin"]}
    assert seen == list(FILES)


def test_links_inside_are_kept(tmp_path, into):
    extra = [entry("deep/link", tarfile.SYMTYPE, "../a.txt"), entry("hard", tarfile.LNKTYPE, "deep/er/b.bin")]
    unpack(given_file(tmp_path, tar(extra=extra)), into)
    assert (into / "deep/link").read_bytes() == b"one"
    assert (into / "hard").read_bytes() == FILES["deep/er/b.bin"]
    unpack(given_file(tmp_path, zipped(links=[("deep/link", "../a.txt")])), into.with_name("zip"))
    assert (into.with_name("zip") / "deep/link").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a/..", "C:/x", "..\\x", "\\\\host\\x"])
def test_paths_that_escape_are_refused(tmp_path, into, name):
    for data in (tar({name: b"x"}), deb(lzma.compress(tar({name: b"x"})))):
        refused(tmp_path, into, data, "absolute path|leads out")
    if "\\" not in name:  # zipfile takes a backslash for a separator on some systems only
        refused(tmp_path, into, zipped({name: b"x"}), "absolute path|leads out")


@pytest.mark.parametrize(
    "links",
    [
        [("x", "/etc")],
        [("x", "..")],
        [("deep/x", "../../y")],
        [("x", "deep"), ("deep/y", "../..")],
        [("deep/here", "."), ("deep/y", "here/../../y")],  # inside by its letters, outside on the disk
        [("x", "deep/er"), ("y", "x/../../..")],
    ],
)
def test_links_that_escape_are_refused(tmp_path, into, links):
    extra = [entry(name, tarfile.SYMTYPE, target) for name, target in links]
    refused(tmp_path, into, tar(extra=extra), "link to")
    refused(tmp_path, into, zipped(links=links), "link to")


def test_hard_links_that_escape_are_refused(tmp_path, into):
    for target in ("/etc/hostname", "../../secret", "not-there"):
        refused(tmp_path, into, tar(extra=[entry("x", tarfile.LNKTYPE, target)]), "absolute|leads out|not in what")
    (tmp_path / "secret").write_bytes(b"s")
    through = [entry("up", tarfile.SYMTYPE, ".."), entry("x", tarfile.LNKTYPE, "up/secret")]
    refused(tmp_path, into, tar(extra=through), "leads out")


def test_no_file_is_written_through_a_link(tmp_path, into):
    out = io.BytesIO()
    (tmp_path / "outside").mkdir()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(entry("door", tarfile.SYMTYPE, "../outside"))
        archive.addfile(entry("door/x", size=1), io.BytesIO(b"x"))
    refused(tmp_path, into, out.getvalue(), "cannot be unpacked|link to")
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(tmp_path, into, kind):
    refused(tmp_path, into, tar(extra=[entry("dev", kind)]), "device or a pipe")


def test_bombs_are_refused(tmp_path, into):
    files = {"zeros": b"\0" * 3_000_000}
    for data in (gzip.compress(tar(files)), zipped(files), deb(lzma.compress(tar(files)))):
        assert len(data) < 30_000
        refused(tmp_path, into, data, "more than 1,000,000 bytes", limit=1_000_000)


def test_an_archive_that_names_a_file_twice_is_refused(tmp_path, into):
    refused(tmp_path, into, tar({"a": b"1", "./a": b"2"}), "cannot be unpacked.*exists")


def test_encrypted_members_are_refused(tmp_path, into):
    data = bytearray(zipped({"a": b"1"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    refused(tmp_path, into, bytes(data), "encrypted")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, into):
    into.mkdir()
    unpack(given_file(tmp_path, tar()), into)
    with pytest.raises(DataError, match="exists already"):
        unpack(given_file(tmp_path, zipped()), into)
    assert held(into) == FILES


def test_a_disk_that_takes_no_more_is_named_and_nothing_is_left(tmp_path, into):
    path = given_file(tmp_path, tar())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file may grow beyond it; b.bin does
    try:
        with pytest.raises(DataError, match=r"cannot be unpacked into .*out: File too large"):
            unpack(path, into)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["archive"]


def test_an_archive_that_is_not_there_is_named(tmp_path, into):
    with pytest.raises(DataError, match=r"none\.deb.*No such file"):
        unpack(tmp_path / "none.deb", into)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path, into):
    data = bytearray(tar())
    second = data.index(b"deep/er/b.bin")
    data[second] ^= 1
    refused(tmp_path, into, bytes(data), "damaged")


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "zip", "deb"])
def test_damage_gives_all_files_or_an_error(tmp_path, form):
    data = {"zip": zipped, "deb": lambda: deb(lzma.compress(tar()))}.get(
        form, lambda: PACKERS[form.removeprefix("tar")](tar())
    )()
    random = np.random.default_rng(list(form.encode()))
    for case in range(40):
        damaged = bytearray(data)
        damaged[random.integers(len(data))] ^= 1 << random.integers(8)
        if case % 2:
            damaged = damaged[: random.integers(len(data))]
        path, into = given_file(tmp_path, bytes(damaged)), tmp_path / f"out{case}"
        try:
            unpack(path, into)
        except DataError:
            assert not into.exists()
        else:
            assert sum(map(len, held(into).values())) == sum(map(len, FILES.values()))
    assert not [name for name in names(tmp_path) if name.startswith(".")]
