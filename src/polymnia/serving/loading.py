"""A learned method from a run folder, with the encoders, so that raw values can be embedded."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from polymnia.data.batch import Batch
from polymnia.data.modality import Array, Raw
from polymnia.data.samples import Column
from polymnia.data.tokens import Tokens
from polymnia.encoders.base import Encoder
from polymnia.encoders.cache import Cache
from polymnia.encoders.columns import encode_columns, pack
from polymnia.encoders.values import Advance
from polymnia.errors import DataError, SettingsError, StateError, unknown
from polymnia.methods.base import Method
from polymnia.training.build import build_layers, build_learner, pools
from polymnia.training.checkpoint import REST, load_state
from polymnia.training.folder import read_settings
from polymnia.training.settings import RunSettings

ROWS = 256
"""How many values go through the model at once."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """The vectors of one modality's values, and what could not be embedded.

    Parameters
    ----------
    vectors : Array
        (N, D) float32, each of length 1; N is less than the number of values where some were set aside.
    rows : Array
        (N,) int64: which of the given values each vector is of.
    rejected : dict
        Row → reason.
    """

    vectors: Array
    rows: Array
    rejected: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Learned:
    """A method as it was at the end of a stage, ready to be asked.

    Parameters
    ----------
    folder : Path
        The run's.
    stage : str
        After which stage it is.
    position : int
        Place of that stage in the stream, from 0.
    settings : RunSettings
        Of the run.
    method : Method
        With its model, on the CPU.
    encoders : Mapping
        Modality → encoder.
    kinds : Mapping
        Modality → kind of signal, for the modalities that it has learned by that stage.
    widths : Mapping
        Modality → width of its tokens.
    class_names : tuple of str
        By class index.
    cache : Cache
        Where encoders look first, and keep what they compute.
    """

    folder: Path
    stage: str
    position: int
    settings: RunSettings
    method: Method
    encoders: Mapping[str, Encoder]
    kinds: Mapping[str, str]
    widths: Mapping[str, int]
    class_names: tuple[str, ...]
    cache: Cache

    @property
    def tells(self) -> str:
        """What it says of a thing: "classes", "texts", or "" where it can be searched only."""
        if "text" in self.method.model.provides:
            return "texts"
        return "classes" if self.class_names and "one row a sample" in self.method.model.provides else ""

    def embed(self, values: Mapping[str, Sequence[Raw] | Column]) -> dict[str, Embedded]:
        """Return the vectors of raw values, each modality's apart; unreadable ones are set aside with a reason.

        Parameters
        ----------
        values : Mapping
            Modality → files, texts or arrays.

        Raises
        ------
        SettingsError
            A modality is not one that was learned, or the method gives no representation of it.
        DataError
            The encoder's tokens have another width than those that were learned from.
        """
        return {modality: self._embed(modality, _column(column)) for modality, column in values.items()}

    def _embed(self, modality: str, column: Column) -> Embedded:
        tokens, broken = self.encode(modality, column)
        rejected = dict(broken)
        rows = torch.tensor([row for row in range(len(column)) if row not in rejected], dtype=torch.int64)
        vectors = self.represent(modality, tokens, rows)
        whole = torch.isfinite(vectors).all(1) & vectors.any(1)
        for row in rows[~whole].tolist():
            rejected[row] = "its representation is zero or not finite, so that it has no direction"
        return Embedded(normalize(vectors[whole], dim=1).numpy(), rows[whole].numpy(), dict(sorted(rejected.items())))

    def encode(
        self,
        modality: str,
        column: Column,
        *,
        present: Tensor | None = None,
        progress: Advance = lambda done, total: None,
    ) -> tuple[Tokens, dict[int, str]]:
        """Return the tokens of a modality's raw values as the run's model wants them, and what is broken: row → reason.

        Parameters
        ----------
        modality : str
            One that was learned.
        column : Column
            N raw values.
        present : Tensor, optional
            (N,) which of them are there; all by default.
        progress : callable, optional
            Gets (done, total).

        Raises
        ------
        SettingsError
            The modality is not one that was learned.
        DataError
            The encoder's tokens have another width than those that were learned from.
        """
        if modality not in self.kinds:
            raise SettingsError(f"{self.folder}, stage {self.stage}: {unknown('modality', modality, self.kinds)}")
        there = torch.ones(len(column), dtype=torch.bool) if present is None else present
        [(tokens, broken)] = encode_columns(
            [(column, there)],
            self.encoders[modality],
            kind=self.kinds[modality],
            pool=pools(self.settings),
            cache=self.cache,
            progress=progress,
        )
        if len(broken) < int(there.sum()) and tokens.width != self.widths[modality]:
            raise DataError(
                f"{modality}: tokens of these values are {tokens.width} wide, and {self.folder} learned from tokens "
                f"that are {self.widths[modality]} wide"
            )
        return tokens, dict(broken)

    def represent(self, modality: str, tokens: Tokens, rows: Tensor) -> Tensor:
        """Return (N, D): what the model makes of some rows' tokens of one modality, each value by itself.

        It is the representation of the modality, or the joint one where the method has nothing else.

        Raises
        ------
        SettingsError
            The method gives neither.
        """
        return torch.cat([self._represent(modality, tokens, at) for at in rows.split(ROWS)])

    @torch.inference_mode()
    def _represent(self, modality: str, tokens: Tokens, rows: Tensor) -> Tensor:
        if not len(rows):
            return torch.zeros(0, 1)
        values, valid = tokens.gather(rows)
        found = self.method.predict(Batch({modality: values}, torch.full((len(rows),), -1), {modality: valid}))
        vectors = found.representations.get(modality, found.representations.get("joint"))
        if vectors is None:
            raise SettingsError(
                f"{self.folder}: method {self.method.name!r} over model {self.method.model.name!r} gives no "
                f"representation of {modality!r}. A model that provides representations is needed: "
                f"shared-space, classifier, adapted or late-fusion"
            )
        return vectors.float().cpu()


class Passing(Cache):
    """A cache that keeps nothing, on disk or off: for what is asked once, such as a query."""

    def tokens(self, encoder: Encoder, digests: Sequence[str], compute: Callable[..., Any]) -> tuple[Tokens, list[str]]:
        """Return the tokens of values, all of them computed."""
        computed = dict(compute(list(dict.fromkeys(digests))))
        return pack(list(computed.values()), encoder.width), list(computed)


def load(folder: Path, *, stage: str | None = None, cache: Cache | None = None) -> Learned:
    """Return a run's method as it was at the end of a stage. Nothing from the folder is ever executed.

    Parameters
    ----------
    folder : Path
        A run folder.
    stage : str, optional
        A finished stage; the newest one by default.
    cache : Cache, optional
        Where encoders look first; this machine's by default.

    Raises
    ------
    StateError
        The folder is not a run, no stage of it is finished, or its state is damaged.
    SettingsError
        It has no finished stage of that name.
    """
    settings = read_settings(folder)
    about, done = described(folder), finished(folder)
    if not done:
        raise StateError(f"{folder} has no finished stage yet. Go on with: polymnia resume {folder}")
    name = done[-1] if stage is None else stage
    if name not in done:
        raise SettingsError(f"{folder}: {unknown('finished stage', name, done)}")
    place = folder / "stages" / name
    return assembled(place, settings, about, load_state(place), stage=name, folder=folder, cache=cache)


def assembled(
    place: Path,
    settings: RunSettings,
    about: Mapping[str, Any],
    state: Mapping[str, Any],
    *,
    stage: str,
    folder: Path,
    cache: Cache | None = None,
) -> Learned:
    """Return what was learned, of its settings, of what is said of its stream, and of its state.

    Parameters
    ----------
    place : Path
        Where the state is from, for messages.
    settings, about, state
        As a run folder has them.
    stage, folder
        After which stage it is, and whose it is.
    cache : Cache, optional
        Where encoders look first; this machine's by default.

    Raises
    ------
    StateError
        The state does not fit the settings.
    """
    method = build_learner(settings, about["kinds"])
    try:
        method.model.load_state_tree(state["model"])
        method.load_state_dict(state["method"])
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise StateError(f"{place} does not fit the settings of {folder}: {reason}") from None
    grown = method.model.grown
    learned = sorted({m for outline in grown for m in outline.modalities})
    return Learned(
        folder=folder,
        stage=stage,
        position=grown[-1].index,
        settings=settings,
        method=method,
        encoders=build_layers(settings, about["kinds"])[0],
        kinds={m: about["kinds"][m] for m in learned},
        widths={m: width for outline in grown for m, width in outline.widths.items()},
        class_names=tuple(about["class_names"]),
        cache=Cache() if cache is None else cache,
    )


def finished(folder: Path) -> list[str]:
    """Return the names of a run's finished stages, oldest first."""
    kept = folder / "stages"
    there = {path.name for path in kept.iterdir() if (path / REST).is_file()} if kept.is_dir() else set()
    return [stage["name"] for stage in described(folder)["stages"] if stage["name"] in there]


def described(folder: Path) -> dict[str, Any]:
    """Return what a run folder says of its stream."""
    path = folder / "stream.json"
    try:
        about: dict[str, Any] = json.loads(path.read_bytes())
        _ = about["kinds"], about["class_names"], [stage["name"] for stage in about["stages"]]
    except FileNotFoundError:
        raise StateError(f"{folder} is not a run: it has no stream.json") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} is damaged: {error}") from None
    return about


def weights_digest(folder: Path, stage: str) -> str:
    """Return the SHA-256 of a stage's saved tensors, without reading them."""
    path = folder / "stages" / stage / "state.json"
    try:
        return str(json.loads(path.read_bytes())["content"]["tensors"])
    except (OSError, ValueError, KeyError, TypeError):
        raise StateError(f"{path} cannot be read, or is damaged") from None


def _column(values: Sequence[Raw] | Column) -> Column:
    if isinstance(values, Tokens | np.ndarray):
        return values
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        column[row] = value
    return column
