"""`ave`: the Audio-Visual Event data set, as its authors hand it out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from polymnia.data.clips import Clip, dataset_of, found, lines_of, root_of
from polymnia.data.source import Dataset, Source, check_modalities, register
from polymnia.data.stage import Card, Rejected

KINDS = {"audio": "audio", "video": "video"}
LISTS = {"train": "trainSet.txt", "valid": "valSet.txt", "test": "testSet.txt"}
NEEDS = ("AVE", *LISTS.values())


@register("ave")
class AVE(Source):
    """Clips of ten seconds with an event that is both seen and heard, in 28 classes; the official split.

    Modalities: `video` and `audio`, both in one MP4. Layout, as it is handed out: the folder `AVE/` with
    `<VideoID>.mp4`, and `trainSet.txt`, `valSet.txt`, `testSet.txt`, each line `Category&VideoID&Quality&Start&End`
    (`Annotations.txt` says the same of all and is not needed). The whole clip is taken, as in Pian et al. 2023
    (AV-CIL), not the event's seconds alone. A video that is listed twice counts once, on the side where it is tested.
    Columns: `split`, `group` (the video), `quality`, `start`, `end`.

    Source: Tian, Shi, Li, Duan, Xu 2018, "Audio-visual event localization in unconstrained videos", ECCV.
    """

    card = Card(
        title="AVE: audio-visual events (4,143 clips, 28 classes)",
        licence="not stated by its authors; the videos are YouTube users' own",
        citation="Y. Tian, J. Shi, B. Li, Z. Duan, C. Xu (2018). Audio-visual event localization in unconstrained "
        "videos. ECCV.",
        homepage="https://github.com/YapengTian/AVE-ECCV18",
        notes="A few videos are listed more than once; each counts once.",
        get="Download AVE_Dataset.zip from the address that https://github.com/YapengTian/AVE-ECCV18 names (6 GB) and "
        "unpack it into one folder, so that it holds AVE/, trainSet.txt, valSet.txt and testSet.txt",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Where it is, and which modalities."""

        path: str | None = None
        modalities: tuple[str, ...] = ("audio", "video")

    settings: Settings

    def load(self) -> Dataset:
        """Return every clip that is there."""
        check_modalities(self.settings.modalities, KINDS)
        root = root_of(self.name, self.settings.path, NEEDS, self.card)
        rejected: list[Rejected] = []
        return dataset_of(list(self._clips(root, rejected)), KINDS, root=root, rejected=rejected)

    def _clips(self, root: Path, rejected: list[Rejected]) -> Iterator[Clip]:
        for split in reversed(LISTS):  # a video listed twice stays where it is tested
            for number, line in lines_of(root / LISTS[split]):
                cells = [cell.strip() for cell in line.split("&")]
                if cells[0] == "Category":
                    continue
                if len(cells) != 5 or not cells[0] or not cells[1]:
                    reason = "is not Category&VideoID&Quality&StartTime&EndTime"
                    rejected.append(Rejected(f"{LISTS[split]} line {number}", "", line[:200], reason))
                    continue
                label, video, quality, start, end = cells
                path = root / "AVE" / f"{video}.mp4"
                yield Clip(
                    id=video,
                    label=label,
                    values=dict.fromkeys(self.settings.modalities, path),
                    columns={"split": split, "group": video, "quality": quality, "start": start, "end": end},
                )

    @classmethod
    def available(cls) -> bool:
        """Return whether it lies where data sets usually do."""
        return found(cls.name, NEEDS)
