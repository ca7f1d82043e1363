"""Fetching a Debian package, with the real apt-get over a repository of our own on disk."""

import hashlib
import io
import json
import multiprocessing
import shutil
import tarfile
import time
from pathlib import Path

import pytest

from polymnia.data.fetch import data_folder, fetch_debian, home
from polymnia.errors import DataError

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt-get on this machine")
FILES = {
    "./usr/share/toys/animals/cow.txt": b"A cow.\n",
    "./usr/share/toys/animals/cow.png": b"picture",
    "./usr/share/doc/toys/copyright": b"GPL-2",
}


def deb(files: dict[str, bytes]) -> bytes:
    """A Debian package by hand: an ar archive of a version, a control tarball and a data tarball."""
    members = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", tar({"./control": b"Package: toys\nVersion: 1.0\nArchitecture: all\n"})),
        ("data.tar.gz", tar(files)),
    ]
    out = b"!<arch>\n"
    for name, content in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        out += b"\n" * (len(content) % 2)
    return out


def tar(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return held.getvalue()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the package "toys", as the one source of this machine, and a home of our own."""
    place = tmp_path / "repository"
    place.mkdir()
    content = deb(FILES)
    (place / "toys_1.0_all.deb").write_bytes(content)
    (place / "Packages").write_text(
        "Package: toys\nVersion: 1.0\nArchitecture: all\nMaintainer: us\nFilename: ./toys_1.0_all.deb\n"
        f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\nDescription: toys\n"
    )
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{place} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{tmp_path}/sources.list";\nDir::Etc::SourceParts "{tmp_path}/none";\n'
        f'APT::Update::Post-Invoke {{"touch {tmp_path}/hook-ran";}};\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))
    return place


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@needs_apt
def test_a_package_is_fetched_whole_and_noted(repository, tmp_path):
    folder = fetch_debian("toys", data_folder("toys"))
    assert folder == tmp_path / "home" / "data" / "toys"
    assert files(folder) == ["fetched.json", *sorted(name[2:] for name in FILES)]
    assert (folder / "usr/share/toys/animals/cow.png").read_bytes() == b"picture"
    note = json.loads((folder / "fetched.json").read_text())
    content = (repository / "toys_1.0_all.deb").read_bytes()
    assert note == {"package": "toys", "file": "toys_1.0_all.deb", "sha256": hashlib.sha256(content).hexdigest()}
    assert files(folder.parent) == [".toys.lock", *(f"toys/{name}" for name in files(folder))], "nothing else stays"
    assert not (tmp_path / "hook-ran").exists(), "hooks of the system's updates are not run"


@needs_apt
def test_only_what_is_wanted_is_unpacked(repository):
    folder = fetch_debian("toys", data_folder("toys"), only=lambda name: name.endswith(".txt"))
    assert files(folder) == ["fetched.json", "usr/share/toys/animals/cow.txt"]


@needs_apt
def test_what_is_there_is_not_fetched_again(repository):
    folder = fetch_debian("toys", data_folder("toys"))
    (repository / "toys_1.0_all.deb").unlink()
    before = (folder / "fetched.json").stat().st_mtime_ns
    assert fetch_debian("toys", folder) == folder and (folder / "fetched.json").stat().st_mtime_ns == before


@needs_apt
def test_what_an_interrupted_fetch_left_is_cleared_away(repository):
    abandoned = data_folder("toys").parent / ".toys.part-abc"
    (abandoned / "lists").mkdir(parents=True)
    fetch_debian("toys", data_folder("toys"))
    assert not abandoned.exists()


@needs_apt
def test_an_unknown_package_says_so_and_leaves_nothing(repository):
    with pytest.raises(DataError, match=r"could not download tooys[\s\S]*Unable to locate package tooys"):
        fetch_debian("tooys", data_folder("tooys"))
    assert files(data_folder("tooys").parent) == [".tooys.lock"]


@needs_apt
def test_a_changed_package_is_refused(repository):
    path = repository / "toys_1.0_all.deb"
    path.write_bytes(path.read_bytes()[:-4] + b"oops")
    with pytest.raises(DataError, match="could not download toys"):
        fetch_debian("toys", data_folder("toys"))
    assert not data_folder("toys").exists()


def _fetch(folder: str, answers) -> None:
    fetch_debian("toys", Path(folder))
    answers.put((time.time(), (Path(folder) / "fetched.json").stat().st_mtime_ns))


@needs_apt
def test_two_processes_at_once_fetch_once(repository):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    both = [context.Process(target=_fetch, args=(str(data_folder("toys")), answers)) for _ in range(2)]
    for process in both:
        process.start()
    told = [answers.get(timeout=60) for _ in both]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert told[0][1] == told[1][1], "the folder that one made is the one that the other found"
    assert files(data_folder("toys").parent)[0] == ".toys.lock" and len(files(data_folder("toys").parent)) == 5


def test_a_machine_without_apt_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"no apt-get on this machine.*dpkg-deb -x toys_\*\.deb .*path=FOLDER"):
        fetch_debian("toys", tmp_path / "data" / "toys")
    assert files(tmp_path / "data") == [".toys.lock"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="no data set fetched by Polymnia; move it away first"):
        fetch_debian("toys", tmp_path / "toys")
    assert (tmp_path / "toys" / "mine.txt").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write the data of toys"):
        fetch_debian("toys", tmp_path / "file" / "toys")


def test_home_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    assert home() == tmp_path and data_folder("stamps") == tmp_path / "data" / "stamps"
    monkeypatch.delenv("POLYMNIA_HOME")
    assert home().parts[-2:] == (".cache", "polymnia")
