"""The settings of a run, as typed dataclasses."""

from dataclasses import dataclass, field
from typing import Any, Literal

from polymnia.config import typed
from polymnia.errors import SettingsError
from polymnia.evaluation.evaluator import EvaluationSettings


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """How every stage is trained."""

    epochs: int = 5
    batch_size: int = 32
    """Rows of one optimiser step, over all processes."""
    accumulate: int = 1
    """Parts in which a batch goes through the model, to save memory."""
    optimiser: Literal["sgd", "adam", "adamw"] = "adamw"
    lr: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """How the learning rate falls to zero over a stage."""
    warmup: int = 0
    """Steps over which the learning rate rises at the start of a stage."""
    clip: float | None = None
    """Largest norm of the gradient."""
    patience: int | None = None
    """Epochs without a better validation score on the current stage before it stops; the best weights are kept."""
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    """How several processes share the work: "ddp" (each has all weights; "auto" means it), or "fsdp" (each has a share
    of a frozen host's weights); other names go to Fabric."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "32"] = "32-true"
    checkpoint_seconds: float = 30.0
    checkpoint_steps: int | None = None
    """Save the state every so many steps too."""
    log_steps: int = 50
    count_flops: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "devices", "num_nodes", "log_steps"):
            if getattr(self, name) < 1:
                raise SettingsError(f"trainer.{name}: {getattr(self, name)} is given, and at least 1 is needed")
        if self.lr <= 0:
            raise SettingsError(f"trainer.lr: {self.lr} is given, and a number above 0 is needed")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that makes a run: the same settings give the same run.

    `stream`, `model` and `method` are mappings with a `name` and that part's own settings; `encoders` maps
    each modality to a name or to such a mapping, or is "bundled".
    """

    stream: dict[str, Any] = field(default_factory=lambda: {"name": "digits"})
    encoders: dict[str, Any] | str = "bundled"
    model: dict[str, Any] = field(default_factory=lambda: {"name": "classifier"})
    method: dict[str, Any] = field(default_factory=lambda: {"name": "finetune"})
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    seed: int = 0
    max_rejected: float = 0.1
    """Largest share of broken samples that is set aside rather than ending the run."""
    trackers: tuple[str, ...] = ()


def run_settings(given: dict[str, Any]) -> RunSettings:
    """Return checked run settings from plain ones."""
    values = dict(given)
    for section, kind in (("trainer", TrainerSettings), ("evaluation", EvaluationSettings)):
        if section in values and not isinstance(values[section], kind):
            values[section] = typed(kind, values[section], where=section, owner=section)
    for section in ("stream", "model", "method"):
        if isinstance(values.get(section), str):
            values[section] = {"name": values[section]}
    if isinstance(values.get("model"), dict):
        values["model"] = {"name": "classifier", **values["model"]}
    return typed(RunSettings, values)
