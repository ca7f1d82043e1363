"""What frozen encoders have computed on this machine, each value once: tokens by encoder and by content.

A store is found by the encoder's fingerprint (weights and preprocessing) and a value by the SHA-256 of its content, so
nothing has to be invalidated by hand. Tokens are kept in float16, and what has just been encoded is read back from
the store like everything else: a first run and a later one see the same numbers to the last bit.
"""

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from polymnia.data.tokens import Tokens
from polymnia.encoders.base import Encoder
from polymnia.encoders.store import Store
from polymnia.errors import SettingsError, StateError, unknown

log = logging.getLogger(__name__)
ABOUT = "about.json"


@dataclass
class Stats:
    """How many values encoders computed and how many the cache had, by encoder's name.

    `computed` counts every value that an encoder's network was given, so `computed / samples` is the number of
    encoder calls per sample.
    """

    computed: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        """Start counting from zero."""
        self.computed.clear()
        self.found.clear()


TOTAL = Stats()
"""What this process has computed and found, over all caches."""


def cache_root() -> Path:
    """Return the folder of everything Polymnia keeps on this machine: `POLYMNIA_HOME`, or `~/.cache/polymnia`."""
    given = os.environ.get("POLYMNIA_HOME")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "polymnia"


class Cache:
    """The tokens of all encoders below one folder, shared by all processes of the machine.

    Parameters
    ----------
    root : Path, optional
        `cache_root()` by default.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.folder = (cache_root() if root is None else root) / "features"
        self.stats = Stats()
        self._stores: dict[str, Store] = {}

    def tokens(
        self, encoder: Encoder, digests: Sequence[str], compute: Callable[[list[str]], Iterable[tuple[str, Tensor]]]
    ) -> tuple[Tokens, list[str]]:
        """Return the tokens of values, and the digests they belong to in the same order.

        Only one process at a time encodes with one encoder: a second one waits and then finds what it wants. When a
        process that encodes is killed, the next one goes on.

        Parameters
        ----------
        encoder : Encoder
            Whose tokens.
        digests : sequence of str
            SHA-256 of each value's content, in hex.
        compute : callable
            Gets the digests that are lacking and yields (digest, tokens (T, d)); a value that cannot be encoded
            is left out, and is then not in the result.

        Raises
        ------
        StateError
            The cache cannot be written.
        """
        store = self._store(encoder)
        wanted = [bytes.fromhex(digest) for digest in dict.fromkeys(digests)]
        lacking = store.lacking(wanted)
        if lacking:
            with self._filling(store.folder.name):
                store.refresh()
                lacking = store.lacking(wanted)
                if lacking:
                    self._describe(store.folder, encoder)
                    computed = compute([digest.hex() for digest in lacking])
                    store.fill((bytes.fromhex(digest), tokens) for digest, tokens in computed)
        self.count(encoder, found=len(wanted) - len(lacking))
        broken = set(store.lacking(wanted))
        held = [digest for digest in wanted if digest not in broken]
        return store.column(held), [digest.hex() for digest in held]

    def count(self, encoder: Encoder, computed: int = 0, *, found: int = 0) -> None:
        """Count values in this cache's `stats` and in `TOTAL`."""
        for stats in (self.stats, TOTAL):
            stats.computed[encoder.name] += computed
            stats.found[encoder.name] += found

    def _store(self, encoder: Encoder) -> Store:
        name = f"{encoder.name}-{encoder.fingerprint}"
        if name not in self._stores:
            self._stores[name] = Store(self.folder / name)
        return self._stores[name]

    @contextmanager
    def _filling(self, name: str, *, patience: float | None = None) -> Generator[None, None, None]:
        """Hold the right to write one store; the system takes it from a process that dies."""
        folder = self.folder.parent / "locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.warning("another process is encoding with %s; waiting for it", name)
                lock.acquire(timeout=-1 if patience is None else patience)
        except OSError as error:
            if isinstance(error, Timeout):
                raise StateError(f"{self.folder / name} is in use by another process; try again later") from None
            raise StateError(
                f"cannot write the cache in {folder}: {error.strerror or error}. "
                f"Set POLYMNIA_HOME to a folder that can be written"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _describe(self, folder: Path, encoder: Encoder) -> None:
        """Say beside the tokens whose they are."""
        about = {"encoder": encoder.name, "fingerprint": encoder.fingerprint, "settings": asdict(encoder.settings)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ABOUT).write_text(json.dumps(about, indent=1, default=str) + "\n")
        except OSError as error:
            raise StateError(
                f"cannot write the cache in {folder}: {error.strerror or error}. Free some space "
                f"(`polymnia cache clear`), or set POLYMNIA_HOME to a folder that can be written"
            ) from None

    def report(self) -> list[dict[str, Any]]:
        """Return one row for each encoder's store: encoder, settings, values, megabytes, folder."""
        rows = []
        for folder in self._folders():
            held = Store(folder)
            size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
            rows.append(
                _about(folder) | {"values": len(held), "megabytes": round(size / 1e6, 1), "folder": str(folder)}
            )
        return sorted(rows, key=lambda row: (row["encoder"], row["folder"]))

    def clear(self, encoder: str | None = None) -> int:
        """Remove the tokens of one encoder, or of all, and return how many bytes that freed.

        Raises
        ------
        SettingsError
            Nothing is held of an encoder of that name.
        StateError
            Another process is encoding right now.
        """
        named = {folder: _about(folder)["encoder"] for folder in self._folders()}
        if encoder is not None and encoder not in named.values():
            raise SettingsError(unknown("encoder in the cache", encoder, set(named.values())))
        freed = 0
        for folder, name in named.items():
            if encoder in (None, name):
                with self._filling(folder.name, patience=5.0):
                    freed += sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
                    shutil.rmtree(folder)
                self._stores.pop(folder.name, None)
        return freed

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_dir()) if self.folder.is_dir() else []


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        return {"encoder": str(about["encoder"]), "settings": about["settings"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {"encoder": folder.name.rpartition("-")[0], "settings": {}}


def size_report() -> list[dict[str, Any]]:
    """Return what this machine's cache holds, one row an encoder; see `Cache.report`."""
    return Cache().report()


def clear(encoder: str | None = None) -> int:
    """Clear this machine's cache, of one encoder or of all, and return the bytes freed; see `Cache.clear`."""
    return Cache().clear(encoder)
