"""What loaders of published sets of clips share: where a set lies, which files are there, and official splits."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from polymnia.data.containers import FORMATS
from polymnia.data.fetch import data_folder
from polymnia.data.modality import Raw, decoding
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset
from polymnia.data.splits import SPLITS
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One row of a set's lists.

    Parameters
    ----------
    id, label : str
        Its name, and its class.
    values : Mapping
        Modality → file or ready value; two modalities may lie in one file.
    columns : Mapping
        What scenarios may cut by: split, group, domain.
    """

    id: str
    label: str
    values: Mapping[str, Raw]
    columns: Mapping[str, str] = field(default_factory=dict)


C = TypeVar("C", bound=Clip)


def root_of(name: str, path: str | None, needs: Sequence[str], card: Card) -> Path:
    """Return the folder of a set: `path`, or where data sets usually lie.

    Raises
    ------
    DataError
        One of the files or folders in `needs` is not in it; the message says where the set comes from and what to
        put where.
    """
    root = data_folder(name) if path is None else Path(path).expanduser()
    lacking = [need for need in needs if not (root / need).exists()]
    if not lacking:
        return root
    what = f"{root} lacks {', '.join(lacking)}" if root.is_dir() else f"{root} is not a folder"
    raise DataError(f"{name}: {what}. {card.get}. Then give path=FOLDER, or put it at {data_folder(name)}")


def found(name: str, needs: Sequence[str]) -> bool:
    """Return whether a set lies where data sets usually do."""
    return all((data_folder(name) / need).exists() for need in needs)


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Return (number, text) of a list's lines that are not empty.

    Raises
    ------
    DataError
        It cannot be read as UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def dataset_of(
    clips: Iterable[Clip], kinds: Mapping[str, str], *, root: Path, rejected: Sequence[Rejected] = (),
    classes: Sequence[str] = (), gone: bool = False,
) -> Dataset:  # fmt: skip
    """Return clips as a data set; what is not there, listed twice or on two sides of the split is set aside.

    A clip whose file is not there is set aside, as is every further row of the same id. Where rows of one `group` are
    in several official splits, only those of the last one (train, valid, test) stay, so that no test sample was seen.

    Parameters
    ----------
    clips : iterable of Clip
        Rows of the lists.
    kinds : Mapping
        Modality → kind of signal.
    root : Path
        Named in messages.
    rejected : sequence of Rejected
        What could not even become a clip.
    classes : sequence of str
        Class names in their order; empty: those that occur, sorted.
    gone : bool
        Whether missing files are to be expected (videos that their owners took down), so that they do not count as
        broken.

    Raises
    ------
    DataError
        No clip is left.
    """
    left = list(rejected)
    kept = usable(clips, left, gone=gone)
    if not kept:
        first = f" First: {left[0].id}: {left[0].reason} ({left[0].value})" if left else ""
        raise DataError(f"{root} has no usable clip ({len(left)} set aside).{first}")
    occurring = {clip.label for clip in kept}
    names = [name for name in classes if name in occurring] + sorted(occurring - {*classes})
    number = {name: at for at, name in enumerate(names)}
    samples = Samples.of(
        [Sample(c.id, c.values, number[c.label], {"label": c.label, **c.columns}) for c in kept if c.label in number]
    )
    return Dataset(
        samples=samples,
        class_names=tuple(names),
        kinds={m: kinds[m] for m in samples.modalities},
        rejected=tuple(left),
    )


def usable(clips: Iterable[C], left: list[Rejected], *, gone: bool = False) -> list[C]:
    """Return the clips without those listed before, without a file or on two sides of the split; add these to `left`.

    `gone` says that missing files are to be expected, so that they do not count as broken.
    """
    held: dict[str, C] = {}
    for clip in clips:
        if clip.id in held:
            left.append(Rejected(clip.id, "", clip.label, "is listed before", broken=False))
        elif missing := next((m for m, v in clip.values.items() if isinstance(v, Path) and not v.is_file()), None):
            where = str(clip.values[missing])
            left.append(Rejected(clip.id, missing, where, "there is no such file", broken=not gone))
        else:
            held[clip.id] = clip
    return _one_side(held.values(), left)


def _one_side(clips: Iterable[C], left: list[Rejected]) -> list[C]:
    """Return the clips without those whose group is also in a later split; add these to `left`."""
    sides: dict[str, set[str]] = defaultdict(set)
    clips = list(clips)
    for clip in clips:
        if clip.columns.get("group") and clip.columns.get("split"):
            sides[clip.columns["group"]].add(clip.columns["split"])
    last = {group: max(names, key=SPLITS.index) for group, names in sides.items()}
    kept: list[C] = []
    for clip in clips:
        stays = last.get(clip.columns.get("group", ""), clip.columns.get("split"))
        if clip.columns.get("split") in ("", None, stays):
            kept.append(clip)
        else:
            reason = f"its group {clip.columns['group']!r} is also in {stays}"
            left.append(Rejected(clip.id, "", clip.label, reason, broken=False))
    return kept


def with_sound(clip: Clip) -> Clip:
    """Return the clip without `audio` where its file has no sound track; a real gap, not a broken file.

    What cannot be opened keeps both, so that reading it says what is wrong with it.
    """
    path = clip.values.get("audio")
    if not isinstance(path, Path) or not path.is_file() or has_sound(path):
        return clip
    rest = {m: v for m, v in clip.values.items() if m != "audio"}
    return Clip(id=clip.id, label=clip.label, values=rest, columns=clip.columns)


def has_sound(path: Path) -> bool:
    """Return whether a file's header announces sound; also for one that cannot be opened."""
    import av

    try:
        with (
            decoding("clip"),
            path.open("rb") as file,
            av.open(file, mode="r", container_options={"format_whitelist": FORMATS}) as container,
        ):
            return bool(container.streams.audio)
    except DataError:
        return True
