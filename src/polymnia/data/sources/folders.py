"""`folders`: your own data, a folder a class."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from polymnia.data.manifest import SPLITS, Meaning, RowReader
from polymnia.data.modality import MODALITIES
from polymnia.data.rows import Row
from polymnia.data.source import Dataset, given_folder, register
from polymnia.data.stage import Card, Rejected
from polymnia.data.stated import UNSTATED, OwnSource, Stated
from polymnia.errors import DataError

KINDS = ("image", "video", "audio", "point-cloud", "text")
"""By how files are named; an ending that two of them have means the first."""
UNCLEAR = (".npy", ".csv")
"""Endings of arrays: points, a motion or a table, which a manifest can say."""


@register("folders")
class Folders(OwnSource):
    """Files in folders named after their class, with or without folders for the splits around them.

    ``cat/01.png``, ``dog/02.png``, or ``train/cat/01.png``, ``test/dog/02.png``. What kind of signal a file holds is
    told by its ending; files of one class that differ in their endings only, ``cat/01.png`` and ``cat/01.wav``, were
    observed together and are one sample. Files whose names begin with a dot are not looked at; others are set aside
    when their ending is not known. Links are not followed out of the folder.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for name, said in (("cat/01", "meows"), ("dog/01", "barks")):
    ...     _ = (root / name).parent.mkdir(), (root / f"{name}.txt").write_text(said)
    >>> dataset = Folders(Folders.Settings(path=str(root))).load()
    >>> dataset.class_names, dict(dataset.kinds), dataset.samples.ids.tolist()
    (('cat', 'dog'), {'text': 'text'}, ['cat/01', 'dog/01'])
    """

    card = Card(
        title="Own data, in a folder a class",
        licence=UNSTATED,
        citation=UNSTATED,
        get="put each class's files into a folder of its name, and give the path of the folder around them",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings(Stated):
        """Where the folders are."""

        path: str

    settings: Settings

    def load(self) -> Dataset:
        """Return every usable file or group of files as a sample.

        Raises
        ------
        DataError
            It is not a folder, has no folders of classes, or none of their files can be used.
        """
        root = given_folder(self.settings.path)
        reader = RowReader(Meaning(text_paths=("text",), inside=True), {kind: kind for kind in KINDS}, root)
        classes = list(_classes(root))
        if not classes:
            raise DataError(f"{root} has no folders of classes in it: FOLDER/cat/01.png or FOLDER/train/cat/01.png")
        for split, folder in classes:
            self._read(reader, split, folder)
        return reader.dataset(root)

    def _read(self, reader: RowReader, split: str, folder: Path) -> None:
        together: dict[str, dict[str, str]] = {}
        for file in sorted(folder.rglob("*")):
            if file.is_dir() or any(part.startswith(".") for part in file.relative_to(folder).parts):
                continue
            place = file.relative_to(reader.folder)
            kind = kind_of(file)
            if kind is None:
                reader.rejected.append(Rejected(str(place), "", file.name, unknown_ending(file)))
                continue
            cells = together.setdefault(str(place.with_suffix("")), {"label": folder.name, "split": split})
            if kind in cells:
                why = f"{cells[kind]} is the {kind} of the same name already"
                reader.rejected.append(Rejected(str(place), kind, file.name, why))
            else:
                cells[kind] = str(place)
        for name, cells in together.items():
            reader.take(Row(name, cells))


def kind_of(file: Path) -> str | None:
    """Return the kind of signal that a file's ending tells, or None.

    Examples
    --------
    >>> [kind_of(Path(name)) for name in ("a.PNG", "a.wav", "a.mp4", "a.txt", "a.npy", "a")]
    ['image', 'audio', 'video', 'text', None, None]
    """
    ending = file.suffix.lower()
    return next((k for k in KINDS if ending in MODALITIES.get(k).suffixes and ending not in UNCLEAR), None)


def unknown_ending(file: Path) -> str:
    """Say why a file's kind of signal cannot be told by its ending."""
    if file.suffix.lower() in UNCLEAR:
        return f"{file.suffix!r} may be points, a motion or a table: a manifest can say which"
    return f"its ending {file.suffix!r} is not known"


def _classes(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield split ("" where there is none) and folder of each class."""
    held = _folders(root)
    if held and all(folder.name.lower() in SPLITS for folder in held):
        yield from ((SPLITS[side.name.lower()], folder) for side in held for folder in _folders(side))
    else:
        yield from (("", folder) for folder in held)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
