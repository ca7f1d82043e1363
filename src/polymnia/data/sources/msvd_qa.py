"""`msvd-qa`: short videos with questions that were made from their captions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from polymnia.data.annotations import Cells, Lists, Media, file_in, json_rows, name_in, understood
from polymnia.data.clips import lines_of
from polymnia.data.items import Annotated, Answered, Item
from polymnia.data.source import register
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import ANSWERING
from polymnia.errors import DataError

SPLITS = ("test", "valid", "train")


@register("msvd-qa")
class MSVDQA(Annotated):
    """50,505 questions about 1,970 clips: 30,933 to train, 6,415 to validate and 13,157 to test by.

    Layout: `train_qa.json`, `val_qa.json` and `test_qa.json`, lists of `id`, `video_id`, `question` and `answer` (one
    word); `youtube_mapping.txt`, each line `<clip> vid<video_id>`; and the clips in `video/` (or `YouTubeClips/`) as
    `<clip>.avi`, or renamed to `vid<video_id>`. `group` is the clip.

    Source: Xu et al. 2017, "Video question answering via gradually refined attention over appearance and motion", ACM
    Multimedia; the clips: Chen, Dolan 2011, "Collecting highly parallel data for paraphrase evaluation", ACL.
    """

    card = Card(
        title="MSVD-QA: questions about short videos (50,505 questions, 1,970 clips)",
        licence="not stated by its authors; the videos are YouTube users' own",
        citation="D. Xu, Z. Zhao, J. Xiao, F. Wu, H. Zhang, X. He, Y. Zhuang (2017). Video question answering via "
        "gradually refined attention over appearance and motion. ACM Multimedia. Clips: D. L. Chen, W. B. Dolan "
        "(2011). Collecting highly parallel data for paraphrase evaluation. ACL.",
        homepage="https://github.com/xudejing/video-question-answering",
        notes="Questions were made from captions by a program, and read so.",
        get="Download MSVD-QA from the address that https://github.com/xudejing/video-question-answering names and the "
        "clips (YouTubeClips.tar) from https://www.cs.utexas.edu/~ml/clamp/videoDescription/, so that one folder holds "
        "train_qa.json, val_qa.json, test_qa.json, youtube_mapping.txt and video/ with the clips",
    )
    Settings = Answered
    task, modality = ANSWERING, "video"
    lists: ClassVar[Lists] = {
        "train": ("train_qa.json",),
        "valid": ("val_qa.json",),
        "test": ("test_qa.json",),
        "clips": ("youtube_mapping.txt",),
    }
    folders = ("video", "videos", "YouTubeClips", "MSVD_Videos", "")

    settings: Answered

    def items(self, files: Mapping[str, Path], media: Media, left: list[Rejected]) -> Iterator[Item]:
        """Yield one item a question."""
        clips = clip_names(files["clips"], left)

        def question(cells: Cells) -> Item:
            number = name_in(cells, "video_id").removeprefix("vid")
            if number not in clips:
                raise DataError(f"has the video_id {number}, which {files['clips'].name} does not name")
            return Item(
                id=f"{split}/{name_in(cells, 'id')}",
                values={self.modality: media.find(clips[number], f"vid{number}", f"video{number}")},
                question=cells.get("question", ""),
                references=[cells.get("answer")],
                columns={"split": split, "group": clips[number]},
            )

        for split in SPLITS:
            yield from understood(json_rows(files[split]), question, path=files[split], left=left)


def clip_names(path: Path, left: list[Rejected]) -> dict[str, str]:
    """Return number → clip, from lines such as "-4wsuPCjDBc_5_15 vid1"."""
    clips: dict[str, str] = {}
    for number, line in lines_of(path):
        name, _, video = line.strip().rpartition(" ")
        try:
            if not name.strip() or not video.removeprefix("vid").isdecimal():
                raise DataError("is not <clip> vid<number>")
            clips.setdefault(video.removeprefix("vid"), file_in({"clip": name}, "clip"))
        except DataError as error:
            left.append(Rejected(f"{path.name} line {number}", "", line[:200], str(error)))
    return clips
