import json

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from polymnia.errors import StateError
from polymnia.experiments.machine import agreed
from polymnia.experiments.results import means
from polymnia.experiments.store import dumps, read_results, write_results

trees = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.integers(-1000, 1000).map(lambda n: n / 8) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@drawn(st.dictionaries(st.text(), trees, max_size=4))
def test_what_is_written_is_json_and_the_same(tree):
    assert json.loads(dumps(tree)) == tree


def test_no_number_is_written_that_json_has_not():
    assert json.loads(dumps({"a": float("nan"), "b": [float("inf"), 0.12345678]})) == {"a": None, "b": [None, 0.123457]}


def test_means_are_over_the_seeds_that_have_a_figure(record):
    table = means([record(forgetting=0.2), record(forgetting=0.4), record(forgetting=None)])
    assert table["forgetting"]["mean"] == pytest.approx(0.3)
    assert table["forgetting"]["half_width"] == pytest.approx(12.7062047 * 0.1)  # Student's t, 1 degree of freedom
    assert table["forgetting"]["n"] == 2
    assert "steps" not in table
    assert table["per_subset"]["image+text"] == {"mean": 0.75, "half_width": 0.0, "n": 3}


@pytest.mark.parametrize(
    ("content", "says"), [("{", "is damaged"), ("[]", "is not the results"), ('{"format": 99}', "in format 1")]
)
def test_what_is_not_results_is_refused(tmp_path, content, says):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(StateError, match=says):
        read_results(path)
    with pytest.raises(StateError, match="polymnia reproduce y"):
        read_results(tmp_path / "y.json")


def test_writing_leaves_nothing_else(tmp_path):
    write_results(tmp_path / "new" / "x.json", {"format": 1})
    assert read_results(tmp_path / "new" / "x.json") == {"format": 1}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.json"]


def test_what_differs_between_runs_is_listed():
    assert agreed([]) == {}
    assert agreed([{"torch": "2.6"}, {"torch": "2.13"}, {"torch": "2.6"}]) == {"torch": ["2.6", "2.13"]}
