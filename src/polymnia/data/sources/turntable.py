"""`turntable`: SYNTHETIC videos of the furniture's meshes, turned once around, with captions and questions."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from filelock import FileLock

from polymnia.data.catalogues import Furniture, pieces
from polymnia.data.fetch import data_folder
from polymnia.data.modality import Array
from polymnia.data.rendering import read_mesh, turntable
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import SOURCES, Dataset, Source, given_folder, register
from polymnia.data.sources.furniture import INSIDE, groups, label_of
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import ANSWERING, CAPTIONING, asked, plain
from polymnia.errors import DataError, SettingsError, unknown
from polymnia.randomness import derive

FRAMES, INDEX = "frames.npy", "pieces.json"
VERSION = 1
QUESTIONS: Mapping[str, str] = {
    "kind": "what kind of thing is it?",
    "room": "what kind of room is it for?",
    "tall": "is it taller than wide?",
}
"""What may be asked, and how."""
ROOMS = frozenset(["Bathroom", "Bedroom", "Kitchen", "Living room", "Office"])
"""The catalogues' categories that are rooms."""
CLEARLY = 1.1
"""How many times the one must be the other for a thing to be taller than wide, or wider than tall."""


@register("turntable")
class Turntable(Source):
    """Films of Sweet Home 3D's models on a turntable, rendered here; SYNTHETIC: nobody filmed anything.

    Modality: `video`, (views, size, size, 3): a model from views all around, orthographic, on white, in the colours of
    its materials. Two tasks, each with its samples: captioning (the model's English name) and answering. Of the latter,
    `question` says which: "kind" (the class of source `furniture`, where the name tells one), "room" (the catalogue's
    category, where it is a room) and "tall" (whether the mesh is taller than wide and deep; neither is asked of those
    that are nearly as tall as wide).

    The class is the catalogue's category. Near-duplicates are one `group`, as in `furniture`. Other columns:
    `category`, `creator`. The films are rendered once for each number of views and size, in the folder of the data.
    """

    card = Card(
        title="Turntable videos of Sweet Home 3D's furniture: SYNTHETIC, rendered from its meshes",
        licence="CC BY 3.0 (Scopia, Kator Legaz, Reallusion, BlendSwap), CC0 (BlendSwap-CC-0)",
        citation="E. Puybaret / eTeks, Scopia, A. Kator & J. Legaz, Reallusion and the contributors of Blend Swap "
        "(2003–2020). Sweet Home 3D furniture libraries, version 1.8.",
        homepage="https://www.sweethome3d.com/importModels.jsp",
        notes="SYNTHETIC video: 820 meshes seen from all around by Polymnia's own renderer. Names and categories are "
        "the catalogues'; sizes are the meshes'. Rendering takes some minutes, once.",
        get="polymnia data get turntable",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How the models are filmed, and what is asked."""

        tasks: tuple[str, ...] = (CAPTIONING, ANSWERING)
        questions: tuple[str, ...] = tuple(QUESTIONS)
        samples: int | None = None
        """At most so many models, always the same ones."""
        views: int = 8
        size: int = 96
        """Pixels of a side."""
        elevation: float = 20.0
        """Degrees by which the camera looks down."""
        path: str | None = None
        """The folder of catalogues (.sh3f), or the one that `furniture` was fetched into."""

        def __post_init__(self) -> None:
            if not (1 <= self.views <= 256 and 8 <= self.size <= 1024 and abs(self.elevation) <= 90):
                raise SettingsError(
                    f"views {self.views}, size {self.size}, elevation {self.elevation}: 1 to 256 views of 8 to 1024 "
                    "pixels, from -90 to 90 degrees, are accepted"
                )
            if self.samples is not None and self.samples < 1:
                raise SettingsError(f"samples: {self.samples} is given; at least 1 is accepted")
            for name, given, known in (("tasks", self.tasks, (CAPTIONING, ANSWERING)),
                                       ("questions", self.questions, tuple(QUESTIONS))):  # fmt: skip
                strange = [each for each in given if each not in known]
                if strange or not given:
                    raise SettingsError(f"stream.{name}: {unknown(name[:-1], (strange or [''])[0], known)}")

    settings: Settings

    def load(self) -> Dataset:
        """Return the films with what is asked about them."""
        wanted = self.settings
        films = filmed(
            self._catalogues(), data_folder("turntable"), views=wanted.views, size=wanted.size,
            elevation=wanted.elevation,
        )  # fmt: skip
        frames: Array = np.load(films / FRAMES, mmap_mode="r")
        models = read_index(films)
        group = groups([model.piece for model in models])
        whole = [model for model in models if not model.piece.broken]
        drawn = sorted(whole, key=lambda model: derive(0, "turntable", model.piece.id))[: wanted.samples]
        seen = sorted(drawn, key=lambda model: model.frames)
        classes = tuple(sorted({model.piece.category for model in seen}))
        samples = [
            Sample(
                f"{model.piece.id}#{name}",
                {"video": frames[model.frames]},
                classes.index(model.piece.category),
                {
                    "task": task,
                    "prompt": asked(task, "video", QUESTIONS.get(name, "")),
                    "answer": answer,
                    "references": json.dumps([answer]),
                    "question": name if task == ANSWERING else "",
                    "group": group[model.piece.id],
                    "category": model.piece.category,
                    "creator": model.piece.creator,
                },
            )
            for model in seen
            for task, name, answer in self._asked(model)
        ]
        if not samples:
            raise DataError(f"no model of {films} has an answer to what is asked")
        rejected = tuple(
            Rejected(m.piece.id, "video", m.piece.points, m.piece.broken) for m in models if m.piece.broken
        )
        return Dataset(samples=Samples.of(samples), class_names=classes, kinds={"video": "video"}, rejected=rejected)

    def _asked(self, model: "Model") -> Iterator[tuple[str, str, str]]:
        """Yield (task, what, answer) of all that is asked about a model."""
        answers = model.answers
        if CAPTIONING in self.settings.tasks and (said := plain(model.piece.names["en"])):
            yield CAPTIONING, "caption", said
        for name in self.settings.questions if ANSWERING in self.settings.tasks else ():
            if name in answers:
                yield ANSWERING, name, answers[name]

    def _catalogues(self) -> Path:
        given = given_folder(self.settings.path) if self.settings.path else data_folder("furniture")
        found = next((place for place in (given, given / INSIDE) if any(place.glob("*.sh3f"))), None)
        if found is None:
            where = f"{given} holds no catalogue of furniture (.sh3f)" if self.settings.path else "they are not here"
            raise DataError(f"turntable needs the furniture's meshes, and {where}. Get them with: {self.card.get}")
        return found

    @classmethod
    def available(cls) -> bool:
        """Return whether the furniture's catalogues were fetched."""
        return any((data_folder("furniture") / INSIDE).glob("*.sh3f"))

    @classmethod
    def get(cls, into: Path | None = None) -> Path | None:
        """Fetch the furniture (120 MB) unless it is there, and film it as the settings are by default."""
        if into is not None or not cls.available():
            SOURCES.get("furniture").get(into)
        own = cls.Settings(path=None if into is None else str(into))
        folder = data_folder("turntable") if into is None else into / "turntable"
        catalogues = cls(own)._catalogues()
        return filmed(catalogues, folder, views=own.views, size=own.size, elevation=own.elevation)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model of a catalogue: the piece, its place among the frames, and how large its mesh is."""

    piece: Furniture
    frames: int
    size: tuple[float, float, float]
    """Width, height and depth, in whatever the mesh is measured in."""

    @property
    def answers(self) -> dict[str, str]:
        """The questions that have an answer here, with it."""
        width, height, depth = self.size
        ratio = height / max(width, depth)
        known = {
            "kind": label_of(self.piece.names["en"]),
            "room": self.piece.category if self.piece.category in ROOMS else "",
            "tall": "yes" if ratio > CLEARLY else "no" if ratio < 1 / CLEARLY else "",
        }
        return {name: plain(answer) for name, answer in known.items() if answer}


def filmed(catalogues: Path, into: Path, *, views: int, size: int, elevation: float) -> Path:
    """Return a folder below `into` with the films of all models of a folder's catalogues; they are rendered once.

    Raises
    ------
    DataError
        A catalogue cannot be read, or the disk refuses.
    """
    found = sorted(catalogues.glob("*.sh3f"))
    marks = [VERSION, views, size, elevation, *((path.name, path.stat().st_size) for path in found)]
    folder = into / f"{views}x{size}-{hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:12]}"
    try:
        into.mkdir(parents=True, exist_ok=True)
        with FileLock(into / f".{folder.name}.lock"):
            if not (folder / INDEX).is_file():
                work = folder.with_name(f".{folder.name}.part")
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                _film(found, work, views=views, size=size, elevation=elevation)
                shutil.rmtree(folder, ignore_errors=True)
                work.rename(folder)
    except OSError as error:
        raise DataError(f"cannot write the films of the furniture to {folder}: {error.strerror or error}") from error
    return folder


def _film(found: Sequence[Path], work: Path, *, views: int, size: int, elevation: float) -> None:
    """Write the frames of all models, one after another, and the list of the models."""
    held = [(path, _pieces(path)) for path in found]
    shape = (sum(len(listed) for _, listed in held), views, size, size, 3)
    frames = np.lib.format.open_memmap(work / FRAMES, mode="w+", dtype=np.uint8, shape=shape)
    models: list[Model] = []
    for path, listed in held:
        with ZipFile(path) as catalogue:
            for number, piece in sorted(listed.items()):
                place = frames[len(models)]
                stem, name = f"{path.stem}-{number:04d}", piece.get("model", "")[1:]
                extent, broken = (0.0, 0.0, 0.0), ""
                try:
                    mesh = read_mesh(name, catalogue.read).turned(piece.get("modelRotation", ""))
                    place[:] = turntable(mesh, views=views, size=size, elevation=elevation)
                    width, height, depth = mesh.size.tolist()
                    extent = (width, height, depth)
                except (DataError, KeyError) as error:
                    broken = f"cannot be taken out of {path.name}: {error}"
                models.append(
                    Model(
                        piece=Furniture(
                            id=Path(name or stem).with_suffix("").name + f"@{stem}",
                            names={"en": piece["names"]["en"]},
                            category=piece.get("category", ""),
                            creator=piece.get("creator", ""),
                            points=name,
                            icon="",
                            broken=broken,
                        ),
                        frames=len(models),
                        size=extent,
                    )
                )
    frames.flush()
    (work / INDEX).write_text(json.dumps([asdict(model) for model in models], indent=1), encoding="utf-8")


def _pieces(path: Path) -> dict[int, dict[str, Any]]:
    try:
        with ZipFile(path) as catalogue:
            return pieces(catalogue)
    except (BadZipFile, OSError) as error:
        raise DataError(f"{path} is not a readable catalogue: {error}") from None


def read_index(folder: Path) -> list[Model]:
    """Return the models of a folder of films."""
    try:
        listed = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return [
            Model(piece=Furniture(**model["piece"]), frames=model["frames"], size=tuple(model["size"]))
            for model in listed
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{folder / INDEX} cannot be read: {error}. Remove {folder}; it is made again") from None
