"""`manifest`: your own data, named in one file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from polymnia.data.manifest import Meaning, RowReader
from polymnia.data.rows import read_rows
from polymnia.data.source import Dataset, register
from polymnia.data.stage import Card
from polymnia.data.stated import UNSTATED, OwnSource, Stated
from polymnia.errors import DataError


@register("manifest")
class Manifest(OwnSource):
    """One CSV, JSON Lines or Parquet file with a column a modality, and a column `label`; or `answer`.

    A cell of an image, audio, video, motion, point-cloud or table column is a path: relative to the manifest's
    folder, or absolute (the manifest is the user's own; `inside` confines it). A cell of a text column is the text
    itself, unless `text_paths` names the column. JSON Lines and Parquet may hold numbers (lists) or bytes instead of
    a path. An empty cell means that the sample lacks that modality.

    With a column `answer` in place of `label` a text is to be written: the answer to the column `question`, or a
    caption where that is empty or not there. `references`, a JSON list, holds all that is right.

    Optional columns: `id` (else "line 7"), `split` (train, valid, test), `stage`, `domain`, `group` (never parted by
    a split). A row that cannot be a sample is set aside with its reason; of rows with the same id the first is kept.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "data.csv").write_text("caption,label\\nmeows,cat\\nbarks,dog\\npurrs,\\n")
    >>> dataset = Manifest(Manifest.Settings(path=str(folder / "data.csv"))).load()
    >>> dataset.class_names, len(dataset.samples), dataset.rejected[0].reason
    (('cat', 'dog'), 2, "has no label (column 'label')")
    """

    card = Card(
        title="Own data, named in a manifest",
        licence=UNSTATED,
        citation=UNSTATED,
        get="write a CSV, JSONL or Parquet file with a column a modality and a column `label`, and give its path",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings(Stated):
        """Where the manifest is, and what its columns mean."""

        path: str
        kinds: Mapping[str, str] = field(default_factory=dict)
        """Column → kind of signal, where its name does not say it."""
        label: str = "label"
        """The column of class names."""
        columns: tuple[str, ...] = ()
        """Further columns to carry along as text: a domain to cut by, a speaker."""
        text_paths: tuple[str, ...] = ()
        """Text columns whose cells are paths."""
        inside: bool = False
        """Set aside rows whose files lie outside the manifest's folder, links followed."""

    def load(self) -> Dataset:
        """Return every usable row as a sample.

        Raises
        ------
        DataError
            The manifest cannot be read, has nothing to learn (no label, no answer, no two modalities), has a column
            that means nothing, or no usable row.
        """
        asked = self.settings
        path = Path(asked.path).expanduser()
        found = read_rows(path)
        meaning = Meaning(**{name.name: getattr(asked, name.name) for name in fields(Meaning)})
        try:
            kinds = meaning.modalities(found.columns)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        reader = RowReader(meaning, kinds, path.parent, columns=found.columns)
        for row in found.rows:
            reader.take(row)
        return reader.dataset(path)
