"""`clipart`: the Open Clip Art Library, pictures and what their makers called them."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from polymnia.data.dublin_core import read_work
from polymnia.data.families import head, linked
from polymnia.data.fetch import data_folder, fetch_debian
from polymnia.data.modality import Raw
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset, Source, check_modalities, given_folder, register
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError

PACKAGES = ("openclipart-png", "openclipart-svg")
PICTURES, DRAWINGS = Path("usr/share/openclipart/png"), Path("usr/share/openclipart/svg")
INDEX = "clipart.json"
KINDS = {"image": "image", "text": "text"}
SIGNED = re.compile(r"clip ?art by .+? - (.*)", re.IGNORECASE)
NO_KEYWORD = frozenset(["hash", "unsorted"])
"""What a program wrote where a keyword should stand, and the name of the folder for the rest."""


@register("clipart")
class Clipart(Source):
    """Drawings in the public domain with their titles; the class is the top folder they are in.

    Modalities: `image` (the picture) and `text` (its caption). A picture that lies in several folders is one sample,
    in the folder of the file itself; its links are left out.

    The caption is the title, unless that is empty, the author's name, the name of a collection (more than
    `max_per_title` pictures have it: "gramastar", "Lemon SVG theme"), or another picture's ("Clipart by … - pear"
    on what is not called pear). Then it is the keywords, without the top folder's and the author's name, under the
    same limit; a picture whose keywords do not tell it apart either is a sample without text.

    Near-duplicates are many. Pictures by one author whose file names have the same `head`, and pictures with the same
    caption but for its numbers, are one `group`, which no split parts; and so on along the chain. Where nobody signed,
    the folder stands for the author. Other columns: `folder`, `author`, and `caption` ("title", "keywords", "none").
    """

    card = Card(
        title="Open Clip Art Library 0.18 (Debian packages openclipart-png and openclipart-svg)",
        licence="public domain (Creative Commons Public Domain Dedication)",
        citation="The contributors of the Open Clip Art Library (2004–2005). Open Clip Art Library, version 0.18.",
        homepage="https://openclipart.org/",
        notes="Of 8,121 pictures 1,221 are links to others. Of the 6,900 left, 3,205 have a caption of their own: "
        "2,978 titles, 227 lists of keywords; 3,695 are in series of one title, 1,375 of them stars. 22 folders, of "
        "which 18 hold 20 or more. 2,845 groups, 1,847 among the captioned. 15 pictures have over 50 million pixels "
        "and are set aside when they are read.",
        get="polymnia data get clipart",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which modalities, how much of each class, what passes for a caption, and from where."""

        modalities: tuple[str, ...] = ("image", "text")
        captioned: bool = False
        """Only pictures that have a caption."""
        keywords: bool = True
        """Keywords stand in for a title that is no caption."""
        max_per_title: int = 12
        """A title or a list of keywords that more pictures share is no caption."""
        min_per_class: int = 1
        """Classes with fewer samples are left out."""
        max_per_class: int | None = None
        """Of larger classes, only so many; always the same ones."""
        max_per_group: int | None = None
        """Of larger groups, only so many; always the same ones."""
        path: str | None = None
        """The folder into which the packages were unpacked, together or one beside the other."""

    settings: Settings

    def load(self) -> Dataset:
        """Return the pictures."""
        wanted, root = self.settings, self._root()
        check_modalities(wanted.modalities, KINDS)
        drawings, rejected = read_drawings(root)
        caption = captions(drawings, most=wanted.max_per_title, keywords=wanted.keywords)
        group = groups(drawings, {name: text for name, (text, _) in caption.items()})
        kept = [drawing for drawing in drawings if caption[drawing.name][0] or not wanted.captioned]
        kept = [drawing for drawing in kept if "image" in wanted.modalities or caption[drawing.name][0]]
        kept = fewest(kept, (group[drawing.name] for drawing in kept), wanted.max_per_group)
        kept = fewest(kept, (drawing.label for drawing in kept), wanted.max_per_class)
        sizes = Counter(drawing.label for drawing in kept)
        classes = sorted(label for label, size in sizes.items() if size >= wanted.min_per_class)
        if not classes:
            raise DataError(f"no class of {root} has {wanted.min_per_class} pictures with what is asked for")
        samples = Samples.of(
            [
                Sample(
                    drawing.name,
                    self._values(root / drawing.picture, caption[drawing.name][0]),
                    classes.index(drawing.label),
                    {
                        "label": drawing.label,
                        "group": group[drawing.name],
                        "folder": drawing.name.rpartition("/")[0],
                        "author": drawing.author,
                        "caption": caption[drawing.name][1],
                    },
                )
                for drawing in kept
                if drawing.label in classes
            ]
        )
        kinds = {m: KINDS[m] for m in samples.modalities}
        return Dataset(samples=samples, class_names=tuple(classes), kinds=kinds, rejected=tuple(rejected))

    def _values(self, picture: Path, caption: str) -> dict[str, Raw]:
        found: dict[str, Raw] = {"image": picture, "text": caption}
        return {m: found[m] for m in self.settings.modalities if found[m]}

    def _root(self) -> Path:
        if self.settings.path is None:
            if not self.available():
                raise DataError(f"clipart is not on this machine. Get it with: {self.card.get}; or give path=FOLDER")
            return data_folder("clipart")
        return given_folder(self.settings.path)

    @classmethod
    def available(cls) -> bool:
        """Return whether both packages were fetched and the titles read."""
        return (data_folder("clipart") / INDEX).is_file()

    @classmethod
    def get(cls, into: Path | None = None) -> Path | None:
        """Fetch both Debian packages (157 MB, 340 MB unpacked) and read the titles, unless that was done."""
        folder = (into or data_folder("clipart")).expanduser()
        if not (folder / INDEX).is_file():
            for package in PACKAGES:
                fetch_debian(package, folder / package, only=_wanted)
            write_index(folder)
        return folder


def _wanted(member: str) -> bool:
    return member.endswith((".png", ".svg", "/copyright"))


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One picture: its file, below the root, and what its maker says of it; `broken` says why that is not known."""

    name: str
    picture: str
    title: str = ""
    keywords: tuple[str, ...] = ()
    author: str = ""
    broken: str = ""

    @property
    def label(self) -> str:
        """The top folder it is in."""
        return self.name.partition("/")[0]


def read_drawings(root: Path) -> tuple[list[Drawing], list[Rejected]]:
    """Return every picture that is no link, by name, and those whose drawing cannot be read.

    Read from the index that `get` has made, where there is one: the drawings are 180 MB.
    """
    index = root / INDEX
    if index.is_file():
        try:
            entries = json.loads(index.read_text(encoding="utf-8"))
            found = [replace(Drawing(**entry), keywords=tuple(entry["keywords"])) for entry in entries]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{index} cannot be read: {error}. Remove it and get the data again") from None
    else:
        found = scan(root)
    rejected = [Rejected(one.name, "text", one.picture, one.broken) for one in found if one.broken]
    return [one for one in found if not one.broken], rejected


def write_index(root: Path) -> None:
    """Write what the drawings say of themselves to the index, whole or not at all."""
    text = json.dumps([asdict(drawing) for drawing in scan(root)], indent=0, ensure_ascii=False)
    part = root / f".{INDEX}.part"
    part.write_text(text, encoding="utf-8")
    part.replace(root / INDEX)


def scan(root: Path) -> list[Drawing]:
    """Return every picture below a folder that is no link, by name, with what its drawing says.

    Raises
    ------
    DataError
        The folder holds no pictures.
    """
    places = [root, *sorted(place for place in root.iterdir() if place.is_dir())]
    twins = {
        path.relative_to(place / DRAWINGS).with_suffix("").as_posix(): path
        for place in places
        for path in (place / DRAWINGS).rglob("*.svg")
    }
    found: list[Drawing] = []
    for place in places:
        for picture in (place / PICTURES).rglob("*.png"):
            if not picture.is_symlink():
                name = picture.relative_to(place / PICTURES).with_suffix("").as_posix()
                found.append(_described(name, picture.relative_to(root).as_posix(), twins.get(name)))
    if not found:
        raise DataError(f"{root} holds no pictures: no .png under {PICTURES}, there or one folder below")
    return sorted(found, key=lambda drawing: drawing.name)


def _described(name: str, picture: str, twin: Path | None) -> Drawing:
    """Return a picture with what its drawing says, if it has one."""
    if twin is None:
        return Drawing(name=name, picture=picture)
    try:
        work = read_work(twin.read_bytes())
    except (OSError, DataError) as error:
        return Drawing(name=name, picture=picture, broken=f"{twin}: {error}")
    return Drawing(name=name, picture=picture, title=work.title, keywords=work.keywords, author=work.author)


def captions(drawings: Sequence[Drawing], *, most: int, keywords: bool = True) -> dict[str, tuple[str, str]]:
    """Return name → (caption, where it is from), of pictures by what they say; see `Clipart` for the rules."""
    titles = {one.name: own_title(one) for one in drawings}
    lists = {one.name: own_keywords(one) if keywords else "" for one in drawings}
    common = Counter(title.casefold() for title in titles.values())
    found = {name: title if common[title.casefold()] <= most else "" for name, title in titles.items()}
    shared = Counter(lists[name].casefold() for name, title in found.items() if not title)
    return {
        name: (title, "title") if title
        else (lists[name], "keywords") if lists[name] and shared[lists[name].casefold()] <= most
        else ("", "none")
        for name, title in found.items()
    }  # fmt: skip


def own_title(drawing: Drawing) -> str:
    """Return a title that says what is in the picture, "" when it says who made it or names another picture.

    Examples
    --------
    >>> titles = ("A cow", "Ann", "Clipart by Ann - pear", "Clipart by Ann - Red cow")
    >>> [own_title(Drawing(name="food/red_cow_2", picture="", title=title, author="Ann")) for title in titles]
    ['A cow', '', '', 'Red cow']
    """
    if signed := SIGNED.fullmatch(drawing.title):  # it goes on with a file's name, whose number was copied too
        same = letters(signed[1]) == letters(drawing.name.rpartition("/")[2])
        return " ".join(re.sub(r"[\d_]+", " ", signed[1]).split()) if same else ""
    return "" if letters(drawing.title) == letters(drawing.author) else drawing.title.replace("_", " ")


def own_keywords(drawing: Drawing) -> str:
    """Return the keywords that say something, parted by commas."""
    author = letters(drawing.author)
    said = [keyword.replace("_", " ") for keyword in drawing.keywords if letters(keyword) != author]
    return ", ".join(
        dict.fromkeys(k for k in said if k.lower() not in NO_KEYWORD and letters(k) != letters(drawing.label))
    )


def letters(text: str) -> tuple[str, ...]:
    """Return the words of a text in small letters, without numbers and signs.

    Examples
    --------
    >>> letters("Woman_Police 02"), letters("2005")
    (('woman', 'police'), ())
    """
    return tuple(re.findall(r"[^\W\d_]+", text.casefold()))


def groups(drawings: Sequence[Drawing], caption: Mapping[str, str]) -> dict[str, str]:
    """Return name → group: one author and one head of the file's name, or one caption; and so on along the chain."""
    shared: dict[str, list[tuple[str, ...]]] = {}
    for one in drawings:
        folder, _, stem = one.name.rpartition("/")
        first = head(stem)
        mark = ("head", *(letters(one.author) or (folder,)), first) if first else ("series", folder, one.author)
        words = letters(caption[one.name]) or tuple(caption[one.name].split())
        shared[one.name] = [mark, *([("caption", *words)] if words else [])]
    return linked(shared)


def fewest(drawings: Sequence[Drawing], of: Iterable[str], most: int | None) -> list[Drawing]:
    """Return the pictures with at most so many of each kind, always the same ones, in the order in which they came."""
    if most is None:
        return list(drawings)
    ranked: dict[str, list[str]] = defaultdict(list)
    for drawing, kind in zip(drawings, of, strict=True):
        ranked[kind].append(drawing.name)
    kept = {
        name
        for names in ranked.values()
        for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:most]
    }
    return [drawing for drawing in drawings if drawing.name in kept]
