import json
import math
from pathlib import Path

import jsonschema
import pytest

import polymnia.evaluation.scores as module
from polymnia.errors import StateError
from polymnia.evaluation.scores import MEASURED, Cost, Scores, read_scores, repeatable, schema


@pytest.fixture
def cost():
    sizes = dict.fromkeys(set(Cost.model_fields) - {"stage"}, 1)
    return {**sizes, "stage": "01-a", "train_seconds": 0.5}


@pytest.fixture
def given(cost):
    return {
        "polymnia": "0.1.0",
        "config": {"method": {"name": "finetune"}},
        "seed": 0,
        "stages": ["01-a"],
        "metric": "accuracy",
        "matrix": [[0.5, None]],
        "final_average": 0.5,
        "average_incremental": 0.5,
        "forgetting": 0.0,
        "backward_transfer": 0.0,
        "learning_accuracy": 0.5,
        "per_subset": {"image": 0.5},
        "cost": [cost],
        "weights_sha256": "0" * 64,
    }


def test_the_schema_in_the_package_is_the_one_the_code_makes():
    packaged = Path(module.__file__).with_name("scores.schema.json").read_text()
    assert packaged == schema(), "write it again: the file is what `polymnia.evaluation.scores.schema()` returns"


def test_written_scores_fit_the_schema_and_read_back(given, tmp_path):
    written = json.dumps(Scores.model_validate(given).model_dump(), allow_nan=False)
    jsonschema.validate(json.loads(written), json.loads(schema()), cls=jsonschema.Draft202012Validator)
    (tmp_path / "scores.json").write_text(written)
    assert read_scores(tmp_path).model_dump() == json.loads(written)


def test_what_was_not_scored_is_null_in_the_file_and_nan_in_python(given):
    nothing = {"matrix": [[math.nan, None]], "final_average": math.nan, "per_subset": {"image": math.nan}}
    scores = Scores.model_validate(given | nothing)
    written = json.dumps(scores.model_dump(), allow_nan=False)
    assert json.loads(written)["final_average"] is None
    assert json.loads(written)["matrix"] == [[None, None]]
    jsonschema.validate(json.loads(written), json.loads(schema()))
    assert math.isnan(Scores.model_validate_json(written).final_average)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"accuracy": 1}, "accuracy"),
        ({"seed": "x"}, "seed"),
        ({"final_average": "high"}, "final_average"),
        ({"stages": ["a", "b"]}, "one entry for each stage"),
        ({"matrix": [[0.5], [0.5, 0.5]]}, "rows of one length"),
        ({"forgetting": ...}, "forgetting"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_scores_that_do_not_fit_are_refused_by_name(given, change, named, tmp_path):
    changed = {key: value for key, value in (given | change).items() if value is not ...}
    (tmp_path / "scores.json").write_text(json.dumps(changed))
    with pytest.raises(StateError, match=named) as raised:
        read_scores(tmp_path)
    assert "scores.json" in str(raised.value)


@pytest.mark.parametrize("field", [name for name in Cost.model_fields if name != "stage"])
def test_no_cost_is_below_zero_and_none_is_left_out(cost, field):
    Cost.model_validate(cost)
    with pytest.raises(ValueError, match=field):
        Cost.model_validate(cost | {field: -1})
    with pytest.raises(ValueError, match=field):
        Cost.model_validate({key: value for key, value in cost.items() if key != field})


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(StateError, match="has not finished a stage"):
        read_scores(tmp_path)
    (tmp_path / "scores.json").write_text('{"polymnia": ')
    with pytest.raises(StateError, match="is not valid"):
        read_scores(tmp_path)


def test_what_a_clock_measured_is_not_repeatable(given):
    first = Scores.model_validate(given).model_dump()
    slower = {**first, "cost": [{**first["cost"][0], **dict.fromkeys(MEASURED, 9)}]}
    assert first != slower
    assert repeatable(first) == repeatable(slower)
    costlier = {**first, "cost": [{**first["cost"][0], "steps": 2}]}
    assert repeatable(first) != repeatable(costlier)
