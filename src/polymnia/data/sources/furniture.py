"""`furniture`: Sweet Home 3D's furniture as points on its surface, as a picture, and by name in many languages."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polymnia.data.catalogues import INDEX, Furniture, prepare, read_prepared
from polymnia.data.fetch import data_folder, fetch_debian
from polymnia.data.modality import Raw
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset, Source, check_modalities, register
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError, SettingsError, unknown

PACKAGE = "sweethome3d-furniture"
INSIDE = Path("usr/share/sweethome3d/furniture")
PREPARED = "prepared"
KINDS = {"points": "point-cloud", "image": "image", "text": "text"}

WORDS: Mapping[str, Sequence[str]] = {
    "bed": ["bed", "crib", "futon", "mattress"],
    "bench or stool": ["bench", "stool", "ottoman", "puff", "bank"],
    "cabinet": ["bookcase", "cabinet", "chest", "cupboard", "dresser", "locker", "shelves", "vanity", "wardrobe"],
    "chair": ["armchair", "chair", "seat"],
    "door": ["door"],
    "lamp": ["chandelier", "lamp", "lamppost", "lantern", "light", "lights", "spotlight"],
    "person": ["boy", "female", "girl", "male"],
    "plant": ["acacia", "bamboo", "beech", "blossom", "bush", "cactus", "cypress", "ficus", "flowers", "hedge", "lily",
              "maple", "orchids", "pine", "plant", "poplar", "spathiphyllum", "tree", "tulips", "yucca"],
    "sofa": ["couch", "sofa"],
    "table": ["desk", "table"],
    "vehicle": ["beetle", "bicycle", "bike", "bus", "car", "chevrolet", "focus", "motorbike", "peugeot", "renault",
                "scooter", "sedan", "suv", "tricycle", "truck", "van"],
    "vessel": ["bottle", "bowl", "cup", "flacon", "glass", "jar", "mug", "pot", "teapot", "vase"],
}  # fmt: skip
"""Class ← words of the English name. The last word that is in here, or in `OTHERS`, decides."""

OTHERS = frozenset(["artwork", "bat", "blind", "box", "cake", "crossing", "fan", "freezer", "house", "indoor", "leon",
                    "shutter", "stand", "toy"])  # fmt: skip
"""Words that make of a chair's or a table's name something else, or nothing of these classes."""

VARIANTS = frozenset(
    ["a", "and", "arched", "b", "beige", "big", "black", "child", "closed", "double", "f", "high", "hung", "l", "large",
     "left", "little", "lower", "medium", "of", "opened", "pane", "panes", "quadruple", "rect", "right", "round",
     "rounded", "seats", "single", "small", "square", "triple", "turn", "upper", "v", "wall", "white", "with", "wooden",
     "x"]
)  # fmt: skip
"""Words of names that tell variants of one model apart, not two models."""


@register("furniture")
class FurnitureModels(Source):
    """Models of furniture, plants, people and vehicles for planning a home; the class is read off the English name.

    Modalities: `points` (1,024 points of the mesh's surface, y up, centred and scaled), `image` (the rendered icon),
    `text` (the name in another language). The English name decides the class, so it would give it away as a text; a
    name in another language nearly does so too, for an encoder that knows the language. So by default there is no text.

    Which words make which class is written in `WORDS`. Pieces whose name fits none are left out: sanitary ware,
    kitchen tools, switches, clothes and the like, and windows, most of which are one model in many sizes.
    Near-duplicates (of one creator, and of one name or one file name without numbers, sizes and colours) are one
    `group`, which no split parts. Other columns: `catalogue`, `creator`, `category`.
    """

    card = Card(
        title="Sweet Home 3D's additional furniture (Debian package sweethome3d-furniture)",
        licence="CC BY 3.0 (Scopia, Kator Legaz, Reallusion, BlendSwap), CC0 (BlendSwap-CC-0)",
        citation="E. Puybaret / eTeks, Scopia, A. Kator & J. Legaz, Reallusion and the contributors of Blend Swap "
        "(2003–2020). Sweet Home 3D furniture libraries, version 1.8.",
        homepage="https://www.sweethome3d.com/importModels.jsp",
        notes="Version 1.8: 820 models, of which 381 fall into 12 classes of 16 to 58 by the words of their English "
        "names, in 292 groups; 439 are left out. Names in 21 languages. Points are drawn once, when it is fetched.",
        get="polymnia data get furniture",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which modalities, and from where."""

        modalities: tuple[str, ...] = ("points", "image")
        name_language: str = "fr"
        """Of the text, when `text` is among the modalities; `en` gives the class away."""
        min_per_class: int = 15
        """Classes with fewer samples are left out."""
        path: str | None = None
        """The folder that `get` made, if it is not where `get` puts it."""

    settings: Settings

    def load(self) -> Dataset:
        """Return the models whose name says what they are."""
        wanted, root = self.settings, self._root()
        check_modalities(wanted.modalities, KINDS)
        pieces = read_prepared(root)
        if "text" in wanted.modalities:
            self._check_language(pieces)
        named = [(piece, label) for piece in pieces if not piece.broken and (label := label_of(piece.names["en"]))]
        sizes = Counter(label for _, label in named)
        classes = sorted(label for label, size in sizes.items() if size >= wanted.min_per_class)
        if not classes:
            raise DataError(f"no class of {root} has {wanted.min_per_class} samples")
        group = groups(pieces)
        samples = Samples.of(
            [
                Sample(
                    piece.id,
                    self._values(piece, root),
                    classes.index(label),
                    {
                        "label": label,
                        "group": group[piece.id],
                        "catalogue": piece.id.rpartition("@")[2].rpartition("-")[0],
                        "creator": piece.creator,
                        "category": piece.category,
                    },
                )
                for piece, label in named
                if label in classes
            ]
        )
        rejected = tuple(Rejected(piece.id, "points", piece.points, piece.broken) for piece in pieces if piece.broken)
        kinds = {m: KINDS[m] for m in samples.modalities}
        return Dataset(samples=samples, class_names=tuple(classes), kinds=kinds, rejected=rejected)

    def _values(self, piece: Furniture, root: Path) -> dict[str, Raw]:
        found: dict[str, Raw | None] = {
            "points": root / piece.points,
            "image": root / piece.icon,
            "text": piece.names.get(self.settings.name_language),
        }
        return {m: value for m in self.settings.modalities if (value := found[m])}

    def _check_language(self, pieces: Sequence[Furniture]) -> None:
        counts = Counter(language for piece in pieces for language in piece.names)
        if self.settings.name_language not in counts:
            raise SettingsError(f"stream.name_language: {unknown('language', self.settings.name_language, counts)}")

    def _root(self) -> Path:
        given = Path(self.settings.path).expanduser() if self.settings.path else data_folder("furniture")
        roots = [root for root in (given, given / PREPARED) if (root / INDEX).is_file()]
        if roots:
            return roots[0]
        if self.settings.path:
            raise DataError(f"stream.path: {given} holds no {INDEX}. Make it with: {self.card.get} --into {given}")
        raise DataError(f"furniture is not on this machine. Get it with: {self.card.get}; or give path=FOLDER")

    @classmethod
    def available(cls) -> bool:
        """Return whether the package was fetched and its meshes read."""
        return (data_folder("furniture") / PREPARED / INDEX).is_file()

    @classmethod
    def get(cls, into: Path | None = None) -> Path | None:
        """Fetch the Debian package (120 MB) and read its meshes, unless that was done; return the prepared folder."""
        folder = (into or data_folder("furniture")).expanduser()
        if not (folder / PREPARED / INDEX).is_file():
            prepare(fetch_debian(PACKAGE, folder, only=_wanted) / INSIDE, folder / PREPARED)
        return folder / PREPARED


def _wanted(member: str) -> bool:
    return member.endswith((".sh3f", "/copyright"))


def label_of(name: str) -> str:
    """Return the class of an English name, "" when it fits none.

    Examples
    --------
    >>> [label_of(name) for name in ("Desk lamp", "Table on trestles", "Table fan", "Glass door cabinet", "Fork")]
    ['lamp', 'table', '', 'cabinet', '']
    """
    of_word = {word: label for label, words in WORDS.items() for word in words}
    head = re.split(r" with | on | without |,", name.lower())[0]
    known = [word for word in re.findall(r"[a-z]+", head) if word in of_word or word in OTHERS]
    return "" if not known or OTHERS & {*known} else of_word[known[-1]]


def base(name: str) -> str:
    """Return a name without numbers and words of `VARIANTS`, its words parted alike.

    Examples
    --------
    >>> base("armChair2"), base("Rounded type A plug"), base("window_2x4_large"), base("Chair")
    ('arm chair', 'type plug', 'window', 'chair')
    """
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return " ".join(word for word in words if word not in VARIANTS) or name


def groups(pieces: Sequence[Furniture]) -> dict[str, str]:
    """Return id → family: same creator, and same base of the name or of the file's name; and so on along the chain."""
    leader: dict[tuple[str, ...], tuple[str, ...]] = {}

    def lead(node: tuple[str, ...]) -> tuple[str, ...]:
        while leader.setdefault(node, node) != node:
            node = leader[node]
        return node

    for piece in pieces:
        stem = base(piece.id.partition("@")[0])
        for shared in (("name", piece.creator, base(piece.names["en"])), ("file", piece.creator, stem)):
            leader[lead(shared)] = lead((piece.id,))
    first: dict[tuple[str, ...], str] = defaultdict(str)
    return {piece.id: first.setdefault(lead((piece.id,)), piece.id) for piece in pieces}
