"""`ucf101`: UCF-101's actions, as its authors hand it out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from polymnia.data.clips import Clip, dataset_of, found, lines_of, root_of, with_sound
from polymnia.data.source import Dataset, Source, check_modalities, register
from polymnia.data.stage import Card, Rejected
from polymnia.errors import SettingsError

KINDS = {"audio": "audio", "video": "video"}
LISTS = Path("ucfTrainTestlist")
NEEDS = ("UCF-101", f"{LISTS}/classInd.txt", f"{LISTS}/trainlist01.txt", f"{LISTS}/testlist01.txt")
NAME = re.compile(r"(\w+)/(v_\w+_(g\d+)_c\d+)\.avi")


@register("ucf101")
class UCF101(Source):
    """13,320 clips of 101 actions; one of the three official splits.

    Modalities: `video`, and `audio` where the clip has a sound track (about half of the classes do; the others lack it,
    which is a real gap). Layout, as it is handed out: `UCF-101/<Class>/v_<Class>_gXX_cYY.avi` and
    `ucfTrainTestlist/` with `classInd.txt`, `trainlist01.txt` (path and class number) and `testlist01.txt` (path), and
    likewise 02 and 03. `group` is the long video (gXX) that clips of a class were cut from; the official splits keep it
    on one side.

    Source: Soomro, Zamir, Shah 2012, "UCF101: a dataset of 101 human action classes from videos in the wild".
    """

    card = Card(
        title="UCF101: human actions from videos in the wild (13,320 clips, 101 classes)",
        licence="not stated by its authors; the videos are YouTube users' own",
        citation="K. Soomro, A. R. Zamir, M. Shah (2012). UCF101: A dataset of 101 human action classes from videos in "
        "the wild. CRCV-TR-12-01. arXiv:1212.0402",
        homepage="https://www.crcv.ucf.edu/data/UCF101.php",
        notes="There is no official validation part; it stays empty.",
        get="Download UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip from "
        "https://www.crcv.ucf.edu/data/UCF101.php (7 GB) and unpack both into one folder, so that it holds UCF-101/ "
        "and ucfTrainTestlist/",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Where it is, which split, and which modalities."""

        path: str | None = None
        fold: int = 1
        """1, 2 or 3: which of the official splits."""
        modalities: tuple[str, ...] = ("audio", "video")
        only_with_sound: bool = False
        """Leave out clips without a sound track."""

    settings: Settings

    def load(self) -> Dataset:
        """Return every clip that is there; with `audio`, each file's header is looked at."""
        asked = self.settings
        check_modalities(asked.modalities, KINDS)
        if asked.fold not in (1, 2, 3):
            raise SettingsError(f"stream.fold: {asked.fold} is given; accepted: 1, 2, 3")
        files = {"train": f"trainlist0{asked.fold}.txt", "test": f"testlist0{asked.fold}.txt"}
        needs = (*NEEDS[:2], *(f"{LISTS}/{name}" for name in files.values()))
        root = root_of(self.name, asked.path, needs, self.card)
        classes = [line.split()[-1] for _, line in lines_of(root / LISTS / "classInd.txt")]
        rejected: list[Rejected] = []
        clips = list(self._clips(root, files, rejected))
        if "audio" in asked.modalities:
            clips = [with_sound(clip) for clip in clips]
        if asked.only_with_sound:
            clips = [clip for clip in clips if "audio" in clip.values]
        return dataset_of([clip for clip in clips if clip.values], KINDS, root=root, rejected=rejected, classes=classes)

    def _clips(self, root: Path, files: dict[str, str], rejected: list[Rejected]) -> Iterator[Clip]:
        for split in ("test", "train"):
            for number, line in lines_of(root / LISTS / files[split]):
                named = NAME.fullmatch(line.split()[0])
                if not named:
                    reason = "does not begin with <Class>/v_<Class>_gXX_cYY.avi"
                    rejected.append(Rejected(f"{files[split]} line {number}", "", line[:200], reason))
                    continue
                label, stem, group = named[1], named[2], named[3]
                path = root / "UCF-101" / label / f"{stem}.avi"
                columns = {"split": split, "group": f"{label}/{group}"}
                yield Clip(id=stem, label=label, values=dict.fromkeys(self.settings.modalities, path), columns=columns)

    @classmethod
    def available(cls) -> bool:
        """Return whether it lies where data sets usually do."""
        return found(cls.name, NEEDS)
