"""Sweet Home 3D's catalogues of furniture (`.sh3f`): names in many languages, icons, and meshes made into points."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from filelock import FileLock

from polymnia.data.modalities.point_cloud import PointCloud
from polymnia.data.modality import Array
from polymnia.errors import DataError

INDEX = "furniture.json"
POINTS = 1024
LINE = re.compile(r"(\w+)#(\d+)=(.*)")
LANGUAGE_FILE = re.compile(r"PluginFurnitureCatalog(?:_(\w+))?\.properties")


class Surface(PointCloud):
    """Points of a mesh's surface, 1,024 of them."""

    surface_points = POINTS


@dataclass(frozen=True, kw_only=True)
class Furniture:
    """One piece of furniture: what it is called, whose it is, and where its files are; `broken` says why not."""

    id: str
    names: Mapping[str, str]
    """Language → name; English is "en"."""
    category: str
    creator: str
    points: str
    icon: str
    broken: str = ""


def prepare(catalogues: Path, into: Path) -> Path:
    """Draw points from every mesh of a folder's catalogues and take out the icons; return the folder, whole or not.

    Points are 1,024 of the mesh's surface, evenly by area and always the same ones, turned as the catalogue says
    (y is up), centred on their mean and scaled so that the furthest lies at distance 1. This is done once, because
    the meshes are 250 MB of text.

    Raises
    ------
    DataError
        The folder holds no catalogue, or one of them cannot be read.
    """
    found = sorted(catalogues.glob("*.sh3f"))
    if not found:
        raise DataError(f"{catalogues} holds no catalogue of furniture (.sh3f)")
    into.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(into.parent / f".{into.name}.lock"):
        if (into / INDEX).is_file():
            return into
        work = into.with_name(f".{into.name}.part")
        shutil.rmtree(work, ignore_errors=True)
        for folder in ("points", "icons"):
            (work / folder).mkdir(parents=True)
        items = [item for path in found for item in _taken_out(path, work)]
        (work / INDEX).write_text(json.dumps([asdict(item) for item in items], indent=1), encoding="utf-8")
        shutil.rmtree(into, ignore_errors=True)
        work.rename(into)
    return into


def read_prepared(folder: Path) -> list[Furniture]:
    """Return what `prepare` left, in the catalogues' order."""
    try:
        return [Furniture(**item) for item in json.loads((folder / INDEX).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{folder / INDEX} cannot be read: {error}. Remove {folder} and get the data again") from None


def _taken_out(path: Path, work: Path) -> Iterator[Furniture]:
    """Yield the pieces of one catalogue, with their files written to `work`."""
    try:
        with ZipFile(path) as catalogue:
            for number, piece in sorted(pieces(catalogue).items()):
                stem = f"{path.stem}-{number:04d}"
                points, icon, broken = f"points/{stem}.npy", f"icons/{stem}.png", ""
                try:
                    np.save(
                        work / points, mesh_points(catalogue.read(piece["model"][1:]), piece.get("modelRotation", ""))
                    )
                    (work / icon).write_bytes(catalogue.read(piece["icon"][1:]))
                except (DataError, KeyError) as error:
                    broken = f"cannot be taken out of {path.name}: {error}"
                yield Furniture(
                    id=Path(piece.get("model", stem)).with_suffix("").name + f"@{stem}",
                    names=piece["names"],
                    category=piece.get("category", ""),
                    creator=piece.get("creator", ""),
                    points=points,
                    icon=icon,
                    broken=broken,
                )
    except (BadZipFile, OSError) as error:
        raise DataError(f"{path} is not a readable catalogue: {error}") from None


def pieces(catalogue: ZipFile) -> dict[int, dict[str, Any]]:
    """Return number → properties of each piece, `names` holding its names by language."""
    found: dict[int, dict[str, Any]] = {}
    languages = {name: match[1] or "en" for name in catalogue.namelist() if (match := LANGUAGE_FILE.fullmatch(name))}
    for name, language in sorted(languages.items(), key=lambda entry: entry[1] != "en"):
        for key, number, value in properties(catalogue.read(name)):
            if language == "en":
                found.setdefault(number, {"names": {}})[key] = value
            if key == "name" and value and number in found:
                found[number]["names"][language] = value
    return {number: piece for number, piece in found.items() if piece["names"].get("en")}


def properties(data: bytes) -> Iterator[tuple[str, int, str]]:
    r"""Yield (key, number, value) of lines such as "name#12=Chair", in Java's escapes.

    Examples
    --------
    >>> list(properties(b"# a comment\nname#12=Ch\\u00e2le\n"))
    [('name', 12, 'Châle')]
    """
    for line in data.decode("latin-1").splitlines():
        if match := LINE.fullmatch(line.strip()):
            value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), match[3])
            yield match[1], int(match[2]), re.sub(r"\\(.)", r"\1", value).strip()


def mesh_points(obj: bytes, rotation: str = "") -> Array:
    """Return (1024, 3) points of a mesh's surface, turned, centred and scaled.

    Parameters
    ----------
    obj : bytes
        An OBJ file.
    rotation : str
        Nine numbers, the rows of a rotation; empty: none.
    """
    points = Surface().decode(obj)[:, :3].astype(np.float64)
    if len(points) != POINTS:
        raise DataError("has no surface, only vertices")
    if rotation:
        points = points @ np.array([float(number) for number in rotation.split()]).reshape(3, 3).T
    points = points - points.mean(0)
    return (points / np.linalg.norm(points, axis=1).max()).astype(np.float32)
