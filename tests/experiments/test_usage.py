"""The picture of the use of experts: from the first seed, sealed by its figures."""

import re

from polymnia.experiments.usage import draw, seal, used

USAGE = [[[3.0, 1.0]], [[1.0, 1.0, 2.0]]]
RESULTS = {
    "seeds": [4, 5],
    "runs": [
        {"stream": "s", "method": "full", "seed": 5, "probes": {"experts": {"usage": [[[9.0]]]}}},
        {"stream": "s", "method": "full", "seed": 4, "probes": {"experts": {"usage": USAGE}}},
        {"stream": "s", "method": "replay", "seed": 4, "probes": {"experts": {}}},
        {"stream": "other", "method": "full", "seed": 4, "probes": {}},
    ],
}


def test_the_first_seed_counts_and_only_methods_that_counted():
    assert used(RESULTS, "s") == {"full": USAGE} and used(RESULTS, "other") == {}


def test_the_picture_is_sealed_by_what_it_shows():
    svg = draw("s", used(RESULTS, "s"))
    assert (
        re.search(r"sealed ([0-9a-f]{64})", svg)[1] == seal("s", used(RESULTS, "s")) != seal("s", {"full": USAGE[:1]})
    )
    assert "full, block 1" in svg
