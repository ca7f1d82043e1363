"""The library's verbs: the command does nothing that these cannot do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymnia.config import Named
from polymnia.data.stage import Stream
from polymnia.errors import SettingsError
from polymnia.evaluation.scores import Scores
from polymnia.training import run as runs
from polymnia.training.build import build_stream
from polymnia.training.folder import read_settings
from polymnia.training.settings import RunSettings, run_settings

if TYPE_CHECKING:
    from polymnia.data.source import Dataset
    from polymnia.serving.scoring import Evaluation


@dataclass(frozen=True)
class Learned:
    """A finished run: its folder and its scores."""

    folder: Path
    scores: Scores

    def report(self) -> Path:
        """Write the run's report and return where it is."""
        from polymnia.report.page import write_report

        return write_report(self.folder)


def stream(name: str, *, seed: int = 0, **settings: Any) -> Stream:
    """Return a raw stream over a data set.

    Parameters
    ----------
    name : str
        A source; `polymnia streams` lists them.
    seed : int
        Draws the splits and the order of classes.
    **settings
        `scenario` (default "class-incremental") and its settings, the source's settings, and the shares `valid`, `test`
        and `missing`.

    Examples
    --------
    >>> import polymnia as pm
    >>> digits = pm.stream("digits", stages=5)
    >>> len(digits), digits.kinds["pixels"]
    (5, 'table')
    """
    return build_stream({"name": name, **settings}, seed=seed)


def learn(
    stream: Stream,
    *,
    out: str | Path,
    method: Named = "finetune",
    model: Named = "classifier",
    encoders: Named = "bundled",
    trainer: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Learned:
    """Train on a stream, stage by stage; a folder that holds the same run, half done, is gone on with.

    Parameters
    ----------
    stream : Stream
        Raw, from `stream`, or made by hand of stages.
    out : path
        The run folder.
    method : str or Mapping
        A name, or a name with settings: ``{"name": "ewc", "strength": 10.0}``, ``methods.EWC(strength=10.0)``.
    model : str or Mapping
        A family, likewise.
    encoders : str or Mapping
        "bundled", or modality → encoder.
    trainer, evaluation : Mapping, optional
        As in a settings file.
    seed : int
        Of everything but the stream, which has its own.
    """
    settings = run_settings(
        {
            "stream": dict(stream.settings) or {"name": stream.name},
            "encoders": encoders,
            "model": model,
            "method": method,
            "trainer": dict(trainer or {}),
            "evaluation": dict(evaluation or {}),
            "seed": seed,
        }
    )
    folder = Path(out)
    return Learned(folder, runs.Run(settings, folder, stream=runs.encoded(stream, settings)).go())


def resume(out: str | Path, *, stream: Stream | None = None) -> Learned:
    """Go on with a run; a stream made by hand must be given again.

    Raises
    ------
    StateError
        The folder is not a run, or its state is damaged.
    """
    folder = Path(out)
    settings: RunSettings = read_settings(folder)
    if stream is None and set(settings.stream) == {"name"}:
        raise SettingsError(f"{folder} was made from a stream made by hand; give that stream: resume(out, stream=…)")
    encoded = None if stream is None else runs.encoded(stream, settings)
    return Learned(folder, runs.Run(settings, folder, stream=encoded).go())


def evaluate(
    run: str | Path,
    data: "str | Path | Mapping[str, Any] | Dataset",
    /,
    *,
    stage: str | None = None,
    split: str | None = None,
    **settings: Any,
) -> "Evaluation":
    """Score a run on data that it need not have seen; see `polymnia.serving.scoring.evaluate` for what is counted.

    Parameters
    ----------
    run : path
        A run folder.
    data : str, Path, Mapping or Dataset
        A source, a manifest, a settings file, a source's name with settings, or samples.
    stage : str, optional
        A finished stage; the newest by default.
    split : str, optional
        Only samples that the data itself puts there: "train", "valid" or "test".
    **settings
        Of the source.

    Examples
    --------
    >>> import tempfile
    >>> import polymnia as pm
    >>> run = pm.learn(pm.stream("digits", stages=2), out=tempfile.mkdtemp(), method="ncm")
    >>> found = pm.evaluate(run.folder, "digits", modalities=["pixels", "projections", "spectrum"])
    >>> found.classification.of, found.classification.known
    (1797, 10)
    """
    from polymnia.data.own import source_asked_for
    from polymnia.data.source import Dataset
    from polymnia.serving.scoring import evaluate as scored

    if isinstance(data, Dataset):
        if settings:
            raise SettingsError(f"{next(iter(settings))!r} is a setting of a source, and samples are given")
        return scored(Path(run), data, stage=stage, split=split)
    asked = dict(data) if isinstance(data, Mapping) else source_asked_for(str(data))
    return scored(Path(run), {**asked, **settings}, stage=stage, split=split)
