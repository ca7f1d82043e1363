"""`scores.json`: what a run found, and its JSON Schema."""

import json
from math import isnan, nan
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, model_validator

from polymnia.errors import StateError

Score = Annotated[float | None, BeforeValidator(lambda given: None if given != given else given)]
"""None where nothing was scored: JSON has no NaN."""

Figure = Annotated[
    float,
    BeforeValidator(lambda given: nan if given is None else given, json_schema_input_type=float | None),
    PlainSerializer(lambda held: None if isnan(held) else held, return_type=float | None),
]
"""NaN in Python, null in the file, where nothing was scored for it."""


BETWEEN = "; "
"""Between the metrics of a stream of several tasks, in the order of arrival."""
SHARES = ("accuracy", "retrieval R@", "VQA accuracy", "CIDEr/10", "likelihood per code")
"""How metrics begin that lie between 0 and 1 and are shown in per cent."""


def is_share(metric: str) -> bool:
    """Whether a metric's name is that of shares.

    Examples
    --------
    >>> is_share("accuracy (stage given)"), is_share("accuracy; retrieval R@10"), is_share("CIDEr")
    (True, True, False)
    """
    return all(part.startswith(SHARES) for part in metric.split(BETWEEN))


class Cost(BaseModel):
    """What one stage cost."""

    model_config = ConfigDict(extra="forbid")

    stage: str
    train_seconds: float = Field(ge=0)
    evaluate_seconds: float = Field(ge=0)
    samples_per_second: float = Field(ge=0, description="training samples over training seconds")
    samples: int = Field(ge=0, description="training samples seen, repeats counted")
    steps: int = Field(ge=0, description="optimiser steps")
    trainable_parameters: int = Field(ge=0)
    total_parameters: int = Field(ge=0)
    added_parameters: int = Field(ge=0, description="parameters that this stage added to the model")
    memory_bytes: int = Field(ge=0, description="what the method keeps beside the model")
    disk_bytes: int = Field(ge=0, description="model and method state of this stage on disk")
    peak_memory_bytes: int = Field(ge=0, description="highest memory of the process so far")
    flops: int = Field(ge=0, description="of training, by torch's counter on the stage's second step times its steps")


class Scores(BaseModel):
    """What a run found. `matrix[i][j]`: score after stage i on the test set of stage j, null where not scored."""

    model_config = ConfigDict(extra="forbid")

    polymnia: str
    config: dict[str, Any]
    seed: int
    stages: list[str]
    class_names: list[str] = []
    metric: str = Field(description="what a score is; of several tasks, each one's, with '; ' between")
    matrix: list[list[Score]]
    before: list[Score] = Field(default=[], description="scores of the untrained model, where asked for")
    final_average: Figure
    average_incremental: Figure
    forgetting: Figure
    backward_transfer: Figure
    forward_transfer: Score = None
    learning_accuracy: Figure
    per_subset: dict[str, Score] = Field(description="modalities joined by '+' → final average with only these")
    per_subset_counts: dict[str, int] = Field(default={}, description="test samples that have one of them")
    probes: dict[str, dict[str, Any]] = Field(
        default={}, description="probe → figure → a number, or lists or mappings; 'x by stage' is x after each stage"
    )
    cost: list[Cost]
    rejected: int = 0
    weights_sha256: str

    @model_validator(mode="after")
    def _one_row_a_stage(self) -> Self:
        counts = {len(self.stages), len(self.matrix), len(self.cost)}
        if len(counts) > 1 or len({len(row) for row in self.matrix}) > 1:
            raise ValueError("stages, matrix and cost must have one entry for each stage, and rows of one length")
        return self


MEASURED = ("train_seconds", "evaluate_seconds", "samples_per_second", "peak_memory_bytes", "disk_bytes")
"""The fields of `cost` that a clock or the operating system gives: a repeated run has others."""


def repeatable(scores: dict[str, Any]) -> dict[str, Any]:
    """Return scores without what a clock measured: what must be equal for equal settings."""
    kept = [{key: value for key, value in cost.items() if key not in MEASURED} for cost in scores["cost"]]
    return {**scores, "cost": kept}


def read_scores(folder: Path) -> Scores:
    """Return a run's scores.

    Raises
    ------
    StateError
        There are none yet, or they do not fit the schema.
    """
    path = folder / "scores.json"
    try:
        return Scores.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise StateError(f"{path} is not there: the run has not finished a stage, or {folder} is not a run") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise StateError(f"{path} is not valid: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def schema() -> str:
    """Return the JSON Schema of `scores.json`, as it is in the package."""
    return json.dumps(Scores.model_json_schema(), indent=2, sort_keys=True) + "\n"
