"""Fill a run's index: embed in chunks, write, tag the version; what is there already is not embedded again."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from polymnia.data.source import Dataset
from polymnia.data.stage import Stream
from polymnia.encoders.cache import Cache
from polymnia.errors import DataError, SettingsError, StateError
from polymnia.serving.content import Key, Lot, lots, own_data
from polymnia.serving.loading import Embedded, Learned, load, weights_digest
from polymnia.serving.nearest import prepare
from polymnia.serving.storage import address, connect, is_remote, lancedb, open_table
from polymnia.serving.table import TABLE, Indexed, place, read_about, save_about, schema, where
from polymnia.serving.table import rows as table_rows
from polymnia.training.checkpoint import alone, write_atomic

CHUNK = 2048
"""Values that are embedded and written at once; a crash loses no more than these."""
REJECTED = "rejected.jsonl"

Progress = Callable[[str, int, int], None]
"""Gets (modality, done, total)."""
Plan = list[tuple[Lot, str, list[int]]]
"""Samples, a modality, and the rows that are to be embedded."""


def build_index(
    folder: Path,
    data: Stream | Dataset | None = None,
    *,
    name: str = "data",
    stage: str | None = None,
    fresh: bool = False,
    to: str | None = None,
    progress: Progress = lambda modality, done, total: None,
) -> Indexed:
    """Embed samples with what a run has learned, and add them to its index; rows that are there already stay.

    Parameters
    ----------
    folder : Path
        A run folder.
    data : Stream or Dataset, optional
        Raw; the run's own stream by default, of which the test and training samples of the stages up to `stage` count.
    name : str
        Of a data set; a row is known by it, the sample's id and the modality.
    stage : str, optional
        The newest finished one by default. Each stage has a version of its own.
    fresh : bool
        Begin this stage's version again.
    to : str, optional
        A prefix on object storage ("s3://bucket/prefix") for the table; where it is by default, at first the run
        folder. Reading and adding go there ever after.
    progress : callable, optional
        Gets (modality, done, total).

    Raises
    ------
    StateError
        The folder is not a run, another process is writing its index, or storage cannot be reached.
    SettingsError
        `to` is no such prefix, or the index is elsewhere already.
    DataError
        None of the data's modalities was learned, one is of another kind, or not one value can be embedded.
    MissingExtra
        LanceDB is not installed.
    """
    lancedb()
    learned = load(folder, stage=stage, cache=Cache())
    given = own_data(learned.settings) if data is None else data
    content = list(lots(given, name=name, stages=learned.position + 1))
    _check(content, learned)
    with ExitStack() as held:
        try:
            held.enter_context(alone(where(folder)))
        except StateError:
            raise StateError(f"another process is writing the index of {folder}; wait for it") from None
        writer = _Writer(learned, fresh=fresh, to=None if to is None else address(to))
        return writer.add(_plan(content, learned, writer.known()), {lot.source for lot in content}, progress)


def _check(content: list[Lot], learned: Learned) -> None:
    held = {m: lot.kinds[m] for lot in content for m in lot.samples.modalities}
    shared = sorted(held.keys() & learned.kinds.keys())
    if not shared:
        raise DataError(
            f"the data has {', '.join(sorted(held)) or 'no modality'}, and {learned.folder} has learned "
            f"{', '.join(learned.kinds)} by stage {learned.stage}: none of the same name"
        )
    for m in shared:
        if held[m] != learned.kinds[m]:
            raise DataError(
                f"{m} is {held[m]} in the data and {learned.kinds[m]} in {learned.folder}; rename its column"
            )


def _plan(content: list[Lot], learned: Learned, known: set[Key]) -> Plan:
    """Return what is not known yet, each value once, though a sample may be in several stages."""
    plan: Plan = []
    for lot in content:
        for modality in (m for m in learned.kinds if m in lot.samples.values):
            rows = lot.rows(modality, known)
            known.update(lot.key(row, modality) for row in rows)
            plan.append((lot, modality, rows))
    return plan


class _Writer:
    """Brings one stage's version of the table up to date."""

    def __init__(self, learned: Learned, *, fresh: bool, to: str | None) -> None:
        self.learned = learned
        self.folder = where(learned.folder)
        self.mine = {"stage": learned.stage, "weights": weights_digest(learned.folder, learned.stage)}
        self.tag = f"stage-{learned.position + 1:02d}"  # a tag may hold less than a stage's name may
        self.about = read_about(self.folder)
        self._choose(to)
        old = None if fresh else self.about["stages"].get(learned.stage)
        self.old = old if old is not None and old["weights"] == self.mine["weights"] else None
        self.at = place(learned.folder, self.about)
        self.database = connect(self.at)
        self.table: Any = open_table(self.database, self.at, TABLE)
        if is_remote(self.at) and self.table is not None and not (self.about["stages"] or self.about["building"]):
            raise StateError(f"{self.at} holds an index already, which is not this run's; give another prefix")
        self.begun = not fresh and self.about["building"] == self.mine and self.table is not None
        """Whether the table's newest version is this stage's, half done."""
        self.rejected: list[dict[str, str]] = []

    def _choose(self, to: str | None) -> None:
        """Take a place for the table; one that has rows already keeps them."""
        held, begun = self.about.get("at"), self.about["stages"] or self.about["building"]
        if to is None or to == held:
            return
        if begun:
            raise SettingsError(
                f"--to: the index of {self.learned.folder} is in {held or self.folder}, and {to} is given. "
                f"Remove {self.folder} first, and index again"
            )
        self.about["at"] = to

    def known(self) -> set[Key]:
        """Return the rows of this stage that are there."""
        if self.table is None or not (self.begun or self.old):
            return set()
        if not self.begun:
            self.table.checkout(self.tag)
        columns = ["source", "id", "modality"]
        held = self.table.search().select(columns).limit(self.table.count_rows()).to_arrow()
        return set(zip(*(held[column].to_pylist() for column in columns), strict=True))

    def add(self, plan: Plan, sources: set[str], progress: Progress) -> Indexed:
        """Embed what is planned and write it; return what the stage's version holds then."""
        total, done = Counter[str](), Counter[str]()
        for _, modality, rows in plan:
            total[modality] += len(rows)
        for lot, modality, rows in plan:
            for first in range(0, len(rows), CHUNK):
                chunk = rows[first : first + CHUNK]
                found = self.learned.embed({modality: lot.values(modality, chunk)})[modality]
                self._set_aside(lot, modality, chunk, found)
                self._write(lot, modality, [chunk[at] for at in found.rows], found)
                done[modality] += len(chunk)
                progress(modality, done[modality], total[modality])
        if self.begun:
            return self._finish(sources)
        if self.old is not None:
            return Indexed(**self.old)
        first = next(iter(self.rejected), None)
        why = f". First: {first['id']} ({first['modality']}): {first['reason']}" if first else ""
        raise DataError(f"not one of {len(self.rejected)} values can be embedded{why}")

    def _set_aside(self, lot: Lot, modality: str, chunk: list[int], found: Embedded) -> None:
        for at, reason in found.rejected.items():
            name, value = str(lot.samples.ids[chunk[at]]), lot.shown(chunk[at], modality)[:200]
            self.rejected.append(
                {"source": lot.source, "id": name, "modality": modality, "value": value, "reason": reason}
            )

    def _write(self, lot: Lot, modality: str, rows: list[int], found: Embedded) -> None:
        if not rows:
            return
        if not self.begun:
            self._begin(found.vectors.shape[1])
        n = len(rows)
        words = {
            "id": [str(lot.samples.ids[row]) for row in rows],
            "modality": [modality] * n,
            "value": [lot.shown(row, modality) for row in rows],
            "label": [lot.label(row) for row in rows],
            "source": [lot.source] * n,
            "split": [lot.split] * n,
            "stage": [self.learned.stage] * n,
        }
        self.table.add(table_rows(words, found.vectors))

    def _begin(self, dimension: int) -> None:
        """Make the table's newest version this stage's; older versions keep their rows."""
        self.about["building"] = self.mine
        if self.table is None:
            save_about(
                self.folder, self.about
            )  # first: a table that nobody speaks for would be taken for another run's
            self.table = self.database.create_table(TABLE, schema=schema(dimension))
        held = self.table.schema.field("vector").type.list_size
        if held != dimension:
            raise StateError(
                f"{self.folder} holds vectors of {held} numbers, and stage {self.learned.stage} makes vectors of "
                f"{dimension}: it is another run's. Remove that folder and index again"
            )
        if self.old is not None:
            self.table.checkout(self.tag)
            self.table.restore()
        else:
            self.table.checkout_latest()
            self.table.delete("true")
        self.about["building"] = self.mine
        save_about(self.folder, self.about)
        self.begun = True

    def _finish(self, sources: set[str]) -> Indexed:
        rows = self.table.count_rows()
        column = self.table.search().select(["modality"]).limit(rows).to_arrow()["modality"].to_pylist()
        made = prepare(self.table, rows=rows)
        tags = self.table.tags
        (tags.update if self.tag in tags.list() else tags.create)(self.tag, self.table.version)
        counts = Counter(row["source"] for row in self.rejected)
        found = Indexed(
            **self.mine,
            tag=self.tag,
            dimension=self.table.schema.field("vector").type.list_size,
            modalities=dict(sorted(Counter(column).items())),
            approximate=made,
            rejected={**(self.old or {}).get("rejected", {}), **{source: counts[source] for source in sources}},
        )
        lines = (f"{json.dumps(row, ensure_ascii=False)}\n" for row in self.rejected)
        write_atomic(self.folder / REJECTED, "".join(lines).encode())
        self.about["stages"][found.stage], self.about["building"] = vars(found), None
        save_about(self.folder, self.about)
        return found
