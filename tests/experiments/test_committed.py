"""What is in the repository: the experiments can be read, and the pages are what the results make."""

from pathlib import Path

import pytest

from polymnia.experiments.checks import check_claim
from polymnia.experiments.settings import experiment_settings
from polymnia.experiments.store import read_results
from polymnia.experiments.tables import stale

ROOT = Path(__file__).parents[2]
FEWER = {"moincl-real": 3}
"""Experiments with fewer than five seeds: what two cores do over a language model of 135 million weights."""
UNDER_WAY: set[str] = set()
"""Experiments whose claims are written down and whose results are not there yet; whoever commits results strikes it."""
FILES = sorted((ROOT / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_experiment_has_claims_that_can_be_decided(path):
    from polymnia.config import read

    settings = experiment_settings(read(path))
    assert settings.claims
    assert len(settings.seeds) >= FEWER.get(path.stem, 5)
    for claim in settings.claims:
        check_claim(claim, settings)


def test_every_experiment_has_results_but_those_under_way():
    done = {path.stem for path in FILES if (ROOT / "results" / f"{path.stem}.json").exists()}
    assert done == {path.stem for path in FILES} - UNDER_WAY


@pytest.mark.parametrize("path", [path for path in FILES if path.stem not in UNDER_WAY], ids=lambda path: path.stem)
def test_committed_results_are_of_the_committed_claims(path):
    from polymnia.config import read

    results = ROOT / "results" / f"{path.stem}.json"
    settings, found = experiment_settings(read(path)), read_results(results)
    said = [(c["id"], c["says"], c["metric"], c["relation"], c["margin"]) for c in found["claims"]]
    assert said == [(c.id, c.says, c.metric, c.relation, c.margin) for c in settings.claims]
    assert found["seeds"] == list(settings.seeds)
    assert found["complete"]
    page = (ROOT / "docs" / "experiments" / f"{path.stem}.md").read_text()
    assert ("several states of the code" in page) == isinstance(found["versions"]["code"], list), "the page says so"


def test_committed_pages_are_what_the_results_make():
    assert stale(ROOT / "results", ROOT / "docs") == [], "run `make docs` and commit what it writes"
