"""`audiocaps`: sounds in the wild with captions."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from polymnia.data.annotations import Cells, Lists, Media, file_in, name_in, table_rows, understood
from polymnia.data.items import Annotated, Captioned, Item
from polymnia.data.source import register
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import CAPTIONING
from polymnia.errors import DataError

SPLITS = ("test", "valid", "train")
COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
SECONDS = 10


@register("audiocaps")
class AudioCaps(Annotated):
    """Ten seconds of sound each, from AudioSet: 49,838 captions to train, 2,475 (five a clip) and 4,875 to test by.

    Layout: `train.csv`, `val.csv` and `test.csv` with the columns audiocap_id, youtube_id, start_time and caption; and
    the sounds, in one folder or a folder each split, under any of the names in use: `<youtube_id>_<start>`,
    `Y<youtube_id>_<start>`, `<youtube_id>_<start>_<end>` (in seconds, or in thousandths), `Y<youtube_id>`,
    `<youtube_id>` or `<audiocap_id>`, as WAV, FLAC, Ogg, MP3 or M4A. Clips that are not there (many videos were taken
    down) are set aside and do not count as broken. `group` is the clip.

    Source: Kim, Kim, Lee, Kim 2019, "AudioCaps: generating captions for audios in the wild", NAACL-HLT.
    """

    card = Card(
        title="AudioCaps: captions of sounds in the wild (about 51,000 clips, 57,000 captions)",
        licence="free for academic purposes (captions, by their repository); the sounds are YouTube users' own",
        citation="C. D. Kim, B. Kim, H. Lee, G. Kim (2019). AudioCaps: Generating captions for audios in the wild. "
        "NAACL-HLT.",
        homepage="https://github.com/cdjkim/audiocaps",
        notes="The makers hand out the captions; each holder has another part of the sounds.",
        get="Take train.csv, val.csv and test.csv from https://github.com/cdjkim/audiocaps (dataset/) and fetch ten "
        "seconds of each row from YouTube with a program for it (such as audiocaps-download), so that one folder holds "
        "the three lists and train/, val/ and test/ with the sounds",
    )
    Settings = Captioned
    task, modality = CAPTIONING, "audio"
    lists: ClassVar[Lists] = {"train": ("train.csv",), "valid": ("val.csv",), "test": ("test.csv",)}
    folders = tuple(
        f"{folder}/{split}".strip("/")
        for folder in ("", "audio", "audios", "wav", "waveforms")
        for split in ("train", "val", "test", "")
    )
    gone = True

    settings: Captioned

    def items(self, files: Mapping[str, Path], media: Media, left: list[Rejected]) -> Iterator[Item]:
        """Yield one item a clip."""
        for split in SPLITS:
            path = files[split]
            clips: dict[str, _Clip] = {}
            for clip in understood(table_rows(path, COLUMNS), _Clip.of, path=path, left=left):
                held = clips.setdefault(clip.name, clip)
                if held is not clip:
                    held.ids.extend(clip.ids)
                    held.captions.extend(clip.captions)
            for name, clip in clips.items():
                values = {self.modality: media.find(*clip.names())}
                yield Item(id=name, values=values, references=clip.captions, columns={"split": split, "group": name})


@dataclass(frozen=True)
class _Clip:
    """What the rows of one clip say."""

    video: str
    start: int | float
    ids: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, cells: Cells) -> "_Clip":
        """Return what one row says."""
        video, own = file_in(cells, "youtube_id"), file_in(cells, "audiocap_id")
        try:
            start = float(name_in(cells, "start_time"))
        except ValueError:
            start = math.nan
        if not 0 <= start < 1e6:
            raise DataError(f"has the start_time {cells['start_time']!r}; seconds are needed")
        return cls(video, int(start) if int(start) == start else start, [own], [cells["caption"]])

    @property
    def name(self) -> str:
        return f"{self.video}_{self.start}"

    def names(self) -> list[str]:
        """Return the names that its file may have, those that say most of it first.

        Examples
        --------
        >>> _Clip("r1nicOVtvkQ", 130, ["91139"]).names()[:4]
        ['r1nicOVtvkQ_130', 'Yr1nicOVtvkQ_130', 'r1nicOVtvkQ_130_140', 'Yr1nicOVtvkQ_130_140']
        """
        end, thousandths = self.start + SECONDS, round(self.start * 1000)
        spans = [
            f"{self.start}",
            f"{self.start}_{end}",
            f"{self.start:.3f}_{end:.3f}",
            f"{thousandths}_{thousandths + 1000 * SECONDS}",
            f"{thousandths}",
        ]
        whole = [f"{letter}{self.video}_{span}" for span in spans for letter in ("", "Y")]
        return [*whole, f"Y{self.video}", self.video, *self.ids]
