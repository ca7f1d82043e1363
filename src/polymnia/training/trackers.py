"""Trackers: a run's figures in TensorBoard, MLflow or Weights & Biases, beside the run folder."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from polymnia.errors import MissingExtra
from polymnia.registry import Registry


class Tracker(ABC):
    """Somewhere else to send figures; it opens when it is made and is closed by `close`."""

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Send figures of one step."""

    @abstractmethod
    def close(self) -> None:
        """Send what is left."""


TRACKERS: Registry[type[Tracker]] = Registry("tracker", "polymnia.training")


@TRACKERS.register("tensorboard")
class TensorBoard(Tracker):
    """Event files in `DIR/tensorboard`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingExtra("tensorboard", "track") from None
        self.writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Write scalars."""
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush the event file."""
        self.writer.close()


@TRACKERS.register("mlflow")
class MLflow(Tracker):
    """A run at `MLFLOW_TRACKING_URI`, or in `DIR/mlflow` when that is not set."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        import os

        try:
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise MissingExtra("mlflow", "track") from None
        uri = os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlflow").resolve().as_uri()
        self.client = MlflowClient(tracking_uri=uri)
        found = self.client.get_experiment_by_name("polymnia")
        experiment = found.experiment_id if found else self.client.create_experiment("polymnia")
        self.run = self.client.create_run(experiment, run_name=folder.name).info.run_id
        for name, value in flat(settings).items():
            self.client.log_param(self.run, name, value)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Log metrics."""
        for name, value in figures.items():
            self.client.log_metric(self.run, name, value, step=step)

    def close(self) -> None:
        """Mark the run finished."""
        self.client.set_terminated(self.run)


@TRACKERS.register("wandb")
class WandB(Tracker):
    """A Weights & Biases run; `WANDB_MODE=offline` keeps it in `DIR/wandb`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError:
            raise MissingExtra("wandb", "track") from None
        self.run = wandb.init(project="polymnia", name=folder.name, dir=str(folder), config=dict(settings))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Log metrics."""
        self.run.log(dict(figures), step=step)

    def close(self) -> None:
        """Finish the run."""
        self.run.finish()


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings with dotted names.

    Examples
    --------
    >>> flat({"method": {"name": "ewc"}, "seed": 0})
    {'method.name': 'ewc', 'seed': '0'}
    """
    out: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        out |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: str(value)}
    return out


def figures(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of an event, named for a tracker.

    Examples
    --------
    >>> figures({"kind": "stage", "stage": 1, "scores": [0.5, 1.0, None], "metrics": 3 * ["accuracy"]})
    {'accuracy/stage-1': 0.5, 'accuracy/stage-2': 1.0}
    >>> figures({"kind": "valid", "metric": "retrieval R@10", "score": 0.5})
    {'valid/retrieval R10': 0.5}
    """
    if event["kind"] == "step":
        losses = {f"loss/{name}": value for name, value in event["losses"].items()}
        return {**losses, "samples_per_second": event["samples_per_second"]}
    if event["kind"] == "valid":
        return {f"valid/{_name(event['metric'])}": event["score"]}
    if event["kind"] == "stage":
        metrics = event["metrics"]
        scores = enumerate(event["scores"])
        return {f"{_name(metrics[j])}/stage-{j + 1}": score for j, score in scores if score is not None}
    return {}


def _name(metric: str) -> str:
    """Return a metric's name in letters that every tracker takes: MLflow refuses "@"."""
    return re.sub(r"[^\w ./-]", "", metric)
