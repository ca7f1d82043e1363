"""`kinetics-sounds`: those classes of Kinetics-400 that are both seen and heard."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from polymnia.data.clips import Clip, dataset_of, lines_of, root_of, with_sound
from polymnia.data.fetch import data_folder
from polymnia.data.source import Dataset, Source, check_modalities, register
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError

KINDS = {"audio": "audio", "video": "video"}
LISTS = {"train": ("train.csv",), "valid": ("val.csv", "validate.csv"), "test": ("test.csv",)}
FOLDERS = {"train": ("train",), "valid": ("val", "validate"), "test": ("test",)}
CLASSES = (
    "blowing nose", "blowing out candles", "bowling", "chopping wood", "dribbling basketball", "finger snapping",
    "laughing", "mowing lawn", "playing accordion", "playing bagpipes", "playing bass guitar", "playing clarinet",
    "playing drums", "playing guitar", "playing harmonica", "playing keyboard", "playing organ", "playing piano",
    "playing saxophone", "playing trombone", "playing trumpet", "playing violin", "playing xylophone",
    "ripping paper", "shoveling snow", "shuffling cards", "singing", "tap dancing", "tapping guitar", "tapping pen",
    "tickling",
)  # fmt: skip
"""The 31 classes by which the set is reported, such as by Pian et al. 2023; its makers began with 34."""


@register("kinetics-sounds")
class KineticsSounds(Source):
    """Clips of ten seconds from Kinetics-400, of 31 classes that can be told by eye and by ear.

    Modalities: `video` and `audio`, both in one MP4; a clip without a sound track lacks `audio`, which is a real gap.
    Layout, as Kinetics-400 is handed out: `train.csv`, `val.csv` (or `validate.csv`) and `test.csv`, in the folder or
    in its `annotations/`, with the columns label, youtube_id, time_start, time_end; the clips are
    `<youtube_id>_<start>_<end>.mp4`, seconds in six digits, in a folder a split (`train/`, `val/`, `test/`), with or
    without a folder a class in it. Rows of other classes are passed over. Clips that are not there (many videos
    were taken down) are set aside and do not count as broken. Where one list is lacking, that part stays empty, but
    one for training and one to test by must be there; with none for testing, the validation list serves as test.

    Columns: `split`, `group` (the video).

    Source: Arandjelović, Zisserman 2017, "Look, listen and learn", ICCV, section 3.2; Kay et al. 2017 (Kinetics).
    """

    card = Card(
        title="Kinetics-Sounds: 31 audible classes of Kinetics-400",
        licence="CC BY 4.0 (lists); the videos are YouTube users' own",
        citation="R. Arandjelović, A. Zisserman (2017). Look, listen and learn. ICCV. W. Kay et al. (2017). The "
        "Kinetics human action video dataset. arXiv:1705.06950",
        homepage="https://github.com/cvdfoundation/kinetics-dataset",
        notes="Its makers' own 34 classes were of an earlier release of Kinetics; these 31 are what others report.",
        get="Download Kinetics-400 as https://github.com/cvdfoundation/kinetics-dataset says (these "
        "31 classes of it are enough), so that one folder holds train.csv, val.csv, test.csv (or annotations/ with "
        "them), train/, val/ and test/",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Where it is, and what of it."""

        path: str | None = None
        modalities: tuple[str, ...] = ("audio", "video")
        classes: tuple[str, ...] = ()
        """Other classes of Kinetics than the 31."""

    settings: Settings

    def load(self) -> Dataset:
        """Return every clip that is there; with `audio`, each file's header is looked at."""
        asked = self.settings
        check_modalities(asked.modalities, KINDS)
        root = root_of(self.name, asked.path, (), self.card)
        lists = found_lists(root)
        if "train" not in lists or len(lists) < 2:
            have = ", ".join(path.name for path in lists.values()) or "none of them"
            lists_of = ", ".join(names[0] for names in LISTS.values())
            raise DataError(f"{self.name}: {root} must hold {lists_of}, and holds {have}. {self.card.get}")
        classes = [plain(name) for name in asked.classes or CLASSES]
        rejected: list[Rejected] = []
        clips = list(self._clips(root, lists, {*classes}, rejected))
        if "audio" in asked.modalities:
            clips = [with_sound(clip) for clip in clips]
        clips = [clip for clip in clips if clip.values]
        return dataset_of(clips, KINDS, root=root, rejected=rejected, classes=classes, gone=True)

    def _clips(
        self, root: Path, lists: Mapping[str, Path], wanted: set[str], rejected: list[Rejected]
    ) -> Iterator[Clip]:
        for given in reversed(list(lists)):
            split = "test" if given == "valid" and "test" not in lists else given
            folders = [root / name for name in FOLDERS[given]]
            rows = csv.DictReader(line for _, line in lines_of(lists[given]))
            for number, row in enumerate(rows, start=2):
                label, video = plain(row.get("label") or ""), (row.get("youtube_id") or "").strip()
                if label not in wanted:
                    continue
                try:
                    start, end = (int(float(row[column])) for column in ("time_start", "time_end"))
                except (KeyError, TypeError, ValueError):
                    reason = "has no whole time_start and time_end"
                    rejected.append(Rejected(f"{lists[given].name} line {number}", "", video, reason))
                    continue
                clip = f"{video}_{start:06d}_{end:06d}"
                yield Clip(
                    id=clip,
                    label=label,
                    values=dict.fromkeys(self.settings.modalities, place_of(f"{clip}.mp4", label, folders)),
                    columns={"split": split, "group": video},
                )

    @classmethod
    def available(cls) -> bool:
        """Return whether it lies where data sets usually do."""
        return {"train"} < set(found_lists(data_folder(cls.name)))


def found_lists(root: Path) -> dict[str, Path]:
    """Return split → its list, of those that are there, in the order of splits."""
    places = {s: [f / n for f in (root, root / "annotations") for n in names] for s, names in LISTS.items()}
    there = {split: next((path for path in paths if path.is_file()), None) for split, paths in places.items()}
    return {split: path for split, path in there.items() if path is not None}


def plain(label: str) -> str:
    """Return a class name with blanks, as Kinetics writes it.

    Examples
    --------
    >>> plain("playing_drums"), plain(" Singing ")
    ('playing drums', 'singing')
    """
    return label.replace("_", " ").strip().lower()


def place_of(file: str, label: str, folders: list[Path]) -> Path:
    """Return where a clip lies among the usual places, or the first of these when it is in none."""
    places = [folder / part / file for folder in folders for part in ("", label, label.replace(" ", "_"))]
    return next((place for place in places if place.is_file()), places[0])
