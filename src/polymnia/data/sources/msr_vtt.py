"""`msr-vtt`: short videos from the web with twenty captions each."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from polymnia.data.annotations import Cells, Lists, Media, file_in, json_rows, understood
from polymnia.data.items import Annotated, Captioned, Item
from polymnia.data.source import register
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import CAPTIONING
from polymnia.errors import DataError

SPLITS = {"train": "train", "validate": "valid", "val": "valid", "valid": "valid", "test": "test"}
ENDS = {"train": 6513, "valid": 7010, "test": 10_000}
"""The official split by number: video0 to video6512 train, up to video7009 validate, up to video9999 test."""
WHOLE = ("MSRVTT_data.json", "videodatainfo.json", "videodatainfo_2017.json")


@register("msr-vtt")
class MSRVTT(Annotated):
    """10,000 clips of 10 to 30 seconds: 6,513 to train, 497 to validate and 2,990 to test by.

    Layout: `train_val_videodatainfo.json` and `test_videodatainfo.json` (or the names of 2016, or all in one
    `MSRVTT_data.json`), each with `videos` (`video_id`, `split`) and `sentences` (`video_id`, `caption`); and
    `TrainValVideo/video0.mp4`, `TestVideo/video7010.mp4` and so on, or all in one folder. A video whose entry says no
    split has the official one by its number. Five of the twenty captions are trained on unless `references` says
    otherwise; tests know all. `group` is the clip.

    Source: Xu, Mei, Yao, Rui 2016, "MSR-VTT: a large video description dataset for bridging video and language", CVPR.
    """

    card = Card(
        title="MSR-VTT: web videos with twenty captions each (10,000 clips)",
        licence="not stated with the lists; the videos are YouTube users' own, for research only",
        citation="J. Xu, T. Mei, T. Yao, Y. Rui (2016). MSR-VTT: A large video description dataset for bridging video "
        "and language. CVPR.",
        homepage="https://www.microsoft.com/en-us/research/publication/"
        "msr-vtt-a-large-video-description-dataset-for-bridging-video-and-language/",
        notes="This is the split for captioning, not the 1k-A split of retrieval.",
        get="Get the videos and their lists from those who hold them (its makers no longer hand them out; search for "
        "MSRVTT.zip), so that one folder holds train_val_videodatainfo.json, test_videodatainfo.json (or "
        "MSRVTT_data.json alone), TrainValVideo/ and TestVideo/ (or videos/)",
    )
    Settings = Captioned
    task, modality = CAPTIONING, "video"
    lists: ClassVar[Lists] = {
        "train": ("train_val_videodatainfo.json", "train_val_videodatainfo_2016.json", *WHOLE),
        "test": ("test_videodatainfo.json", "test_videodatainfo_2016.json", *WHOLE),
    }
    folders = ("TrainValVideo", "TestVideo", "videos/all", "videos", "video", "MSRVTT_Videos", "all", "")

    settings: Captioned

    def items(self, files: Mapping[str, Path], media: Media, left: list[Rejected]) -> Iterator[Item]:
        """Yield one item a clip."""
        found = [item for path in dict.fromkeys(files.values()) for item in self._clips(path, media, left)]
        yield from sorted(found, key=lambda item: item.columns["split"] == "train")

    def _clips(self, path: Path, media: Media, left: list[Rejected]) -> Iterator[Item]:
        """Yield the clips of one list."""
        said: dict[str, list[Any]] = defaultdict(list)
        videos = understood(json_rows(path, "videos"), clip_of, path=path, left=left)
        sentences = understood(
            json_rows(path, "sentences"), lambda cells: (file_in(cells, "video_id"), cells.get("caption")), path=path,
            left=left,
        )  # fmt: skip
        for name, caption in sentences:
            said[name].append(caption)
        for name in said.keys() - {name for name, _ in videos}:
            left.append(Rejected(name, "", str(said[name][0])[:200], f"is captioned in {path.name} and not listed"))
        for name, split in videos:
            values = {self.modality: media.find(name)}
            yield Item(id=name, values=values, references=said[name], columns={"split": split, "group": name})


def clip_of(cells: Cells) -> tuple[str, str]:
    """Return a clip's name and its split.

    Examples
    --------
    >>> clip_of({"video_id": "video6513", "split": "validate"}), clip_of({"video_id": "video7010"})
    (('video6513', 'valid'), ('video7010', 'test'))
    """
    name, split = file_in(cells, "video_id"), cells.get("split")
    if split is None:
        number = name.removeprefix("video")
        at = int(number) if number.isdecimal() else ENDS["test"]
        split = next((side for side, end in ENDS.items() if at < end), None)
    if not isinstance(split, str) or split not in SPLITS:
        raise DataError(f"is of the split {cells.get('split')!r}; accepted: {', '.join(SPLITS)}")
    return name, SPLITS[split]
