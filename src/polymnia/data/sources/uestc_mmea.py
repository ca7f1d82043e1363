"""`uestc-mmea`: UESTC-MMEA-CL, daily activities seen from a pair of glasses, with their motion."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from polymnia.data.clips import Clip, dataset_of, found, lines_of, root_of
from polymnia.data.modality import Array, Raw, file_bytes
from polymnia.data.numbers import finite, numbers
from polymnia.data.source import Dataset, Source, check_modalities, register
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError

KINDS = {"video": "video", "acceleration": "motion", "gyroscope": "motion"}
LISTS = {"train": "train.txt", "valid": "val.txt", "test": "test.txt"}
NEEDS = (*LISTS.values(), "video", "sensor")
PER_G, PER_DEGREE = 16384.0, 16.4
"""Steps of the sensor for one g and for one degree a second."""


@register("uestc-mmea")
class UESTCMMEA(Source):
    """32 daily activities by ten people: first-person video, acceleration and gyroscope; the official split.

    Layout, as it is handed out: `train.txt`, `val.txt`, `test.txt`; `video/<number>_<activity>/<clip>.mp4`;
    `sensor/<number>_<activity>/<clip>.csv` with six columns: acceleration x, y, z and gyroscope x, y, z, in steps
    of the sensor, which are turned into g (÷ 16,384) and degrees a second (÷ 16.4).

    A line of a list begins with a path whose last two parts are the activity's folder and the clip, with or without an
    ending; what follows (first frame, last frame, class number) is not needed. This was read from programs that
    use the set, not from the set itself. A clip without one of its two files is set aside.

    Source: Xu et al. 2023, "Towards continual egocentric activity recognition: a multi-modal egocentric activity
    dataset for continual learning", IEEE Transactions on Multimedia.
    """

    card = Card(
        title="UESTC-MMEA-CL: multi-modal egocentric activities for continual learning (32 classes, about 6,500 clips)",
        licence="for education and non-commercial use only, as its authors ask",
        citation="L. Xu, Q. Wu, L. Pan, F. Meng, H. Li, C. He, H. Wang, S. Cheng, Y. Dai (2023). Towards continual "
        "egocentric activity recognition: a multi-modal egocentric activity dataset for continual learning. "
        "IEEE Transactions on Multimedia. arXiv:2301.10931",
        homepage="https://ivipclab.github.io/publication_uestc-mmea-cl/mmea-cl/",
        notes="30.4 hours; train, validation and test 7 : 2 : 1 within each class.",
        get="Ask for it at https://ivipclab.github.io/publication_uestc-mmea-cl/mmea-cl/ and unpack it into one "
        "folder, so that it holds train.txt, val.txt, test.txt, video/ and sensor/",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Where it is, and which modalities."""

        path: str | None = None
        modalities: tuple[str, ...] = ("video", "acceleration", "gyroscope")

    settings: Settings

    def load(self) -> Dataset:
        """Return every clip that is there; the sensors' files are read, the videos not yet."""
        check_modalities(self.settings.modalities, KINDS)
        root = root_of(self.name, self.settings.path, NEEDS, self.card)
        rejected: list[Rejected] = []
        clips = list(self._clips(root, rejected))
        folders = sorted({clip.columns["folder"] for clip in clips}, key=lambda f: (number_of(f), f))
        classes = list(dict.fromkeys(activity(folder) for folder in folders))
        return dataset_of(clips, KINDS, root=root, rejected=rejected, classes=classes)

    def _clips(self, root: Path, rejected: list[Rejected]) -> Iterator[Clip]:
        for split in reversed(LISTS):
            for number, line in lines_of(root / LISTS[split]):
                parts = PurePosixPath(line.split()[0].replace("\\", "/")).parts
                if len(parts) < 2 or ".." in parts[-2:] or not activity(parts[-2]):
                    reason = "does not begin with a path that ends in <number>_<activity>/<clip>"
                    rejected.append(Rejected(f"{LISTS[split]} line {number}", "", line[:200], reason))
                    continue
                folder, clip = parts[-2], re.sub(r"\.(mp4|avi|csv|txt)$", "", parts[-1], flags=re.IGNORECASE)
                try:
                    values = self._values(root, folder, clip)
                except DataError as error:
                    where = str(root / "sensor" / folder / f"{clip}.csv")
                    rejected.append(Rejected(f"{folder}/{clip}", "acceleration", where, str(error)))
                    continue
                columns = {"split": split, "folder": folder}
                yield Clip(id=f"{folder}/{clip}", label=activity(folder), values=values, columns=columns)

    def _values(self, root: Path, folder: str, clip: str) -> dict[str, Raw]:
        wanted, values = self.settings.modalities, dict[str, Raw]()
        if "video" in wanted:
            values["video"] = root / "video" / folder / f"{clip}.mp4"
        if {"acceleration", "gyroscope"} & {*wanted}:
            acceleration, gyroscope = read_sensors(root / "sensor" / folder / f"{clip}.csv")
            values |= {"acceleration": acceleration, "gyroscope": gyroscope}
        return {m: values[m] for m in wanted}

    @classmethod
    def available(cls) -> bool:
        """Return whether it lies where data sets usually do."""
        return found(cls.name, NEEDS)


def read_sensors(path: Path) -> tuple[Array, Array]:
    """Return acceleration (T, 3) in g and gyroscope (T, 3) in degrees a second.

    Raises
    ------
    DataError
        The file is not there, is no table of numbers, or has fewer than six columns.
    """
    data = file_bytes(path, limit=64 * 2**20)
    table = finite(np.atleast_2d(numbers(data, limit=10_000_000)), ndims=(2,), form="(T, 6)")
    if table.shape[1] < 6:
        raise DataError(f"has {table.shape[1]} columns; six are needed: acceleration x, y, z and gyroscope x, y, z")
    return table[:, :3] / np.float32(PER_G), table[:, 3:6] / np.float32(PER_DEGREE)


def activity(folder: str) -> str:
    """Return the name of a class from its folder.

    Examples
    --------
    >>> activity("32_watch_TV"), activity("upstairs"), activity("7_")
    ('watch TV', 'upstairs', '')
    """
    return re.sub(r"^\d+_", "", folder).replace("_", " ").strip()


def number_of(folder: str) -> int:
    """Return the number at the beginning of a folder's name, 0 where there is none."""
    digits = re.match(r"\d+", folder)
    return int(digits[0]) if digits else 0
