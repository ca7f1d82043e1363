"""`flickr30k`: pictures with five captions each, by Karpathy's split."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from polymnia.data.annotations import Cells, Lists, Media, file_in, json_rows, understood
from polymnia.data.items import Annotated, Captioned, Item
from polymnia.data.source import register
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import CAPTIONING
from polymnia.errors import DataError

SPLITS = {"train": "train", "restval": "train", "val": "valid", "test": "test"}


@register("flickr30k")
class Flickr30k(Annotated):
    """Photographs of people and what they do, each described by five people.

    Layout: `dataset_flickr30k.json` of Karpathy and Fei-Fei (29,000 pictures to train, 1,014 to validate and 1,000 to
    test by), whose `images` each have `filename`, `split` and `sentences` with `raw`; and the pictures in
    `flickr30k-images/`. `group` is the picture.

    Source: Young, Lai, Hodosh, Hockenmaier 2014, "From image descriptions to visual denotations", TACL; the split:
    Karpathy, Fei-Fei 2015, "Deep visual-semantic alignments for generating image descriptions", CVPR.
    """

    card = Card(
        title="Flickr30k: photographs with five captions each (31,014 pictures)",
        licence="the pictures are Flickr users' own; its makers grant research and education without profit",
        citation="P. Young, A. Lai, M. Hodosh, J. Hockenmaier (2014). From image descriptions to visual denotations: "
        "New similarity metrics for semantic inference over event descriptions. TACL 2, 67–78. Split: A. Karpathy, "
        "L. Fei-Fei (2015). Deep visual-semantic alignments for generating image descriptions. CVPR.",
        homepage="https://shannon.cs.illinois.edu/DenotationGraph/",
        get="Ask for the pictures at https://shannon.cs.illinois.edu/DenotationGraph/ and take dataset_flickr30k.json "
        "from https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip, so that one folder holds "
        "flickr30k-images/ and dataset_flickr30k.json",
    )
    Settings = Captioned
    task, modality = CAPTIONING, "image"
    lists: ClassVar[Lists] = {"all": ("dataset_flickr30k.json",)}
    folders = ("flickr30k-images", "flickr30k_images", "images", "Images", "")

    settings: Captioned

    def items(self, files: Mapping[str, Path], media: Media, left: list[Rejected]) -> Iterator[Item]:
        """Yield one item a picture."""

        def picture(cells: Cells) -> Item:
            name, said = file_in(cells, "filename"), cells.get("sentences")
            split = cells.get("split")
            if not isinstance(split, str) or split not in SPLITS:
                raise DataError(f"is of the split {split!r}; accepted: {', '.join(SPLITS)}")
            if not isinstance(said, list) or not all(isinstance(sentence, dict) for sentence in said):
                raise DataError("has no list of sentences")
            return Item(
                id=name,
                values={self.modality: media.find(name)},
                references=[sentence.get("raw") for sentence in said],
                columns={"split": SPLITS[split], "group": name},
            )

        found = understood(json_rows(files["all"], "images"), picture, path=files["all"], left=left)
        yield from sorted(found, key=lambda item: item.columns["split"] == "train")
