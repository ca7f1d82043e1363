"""Probes in the report: shares by stage, experts that came later, and no section where nothing was measured."""

from polymnia.evaluation.scores import Scores
from polymnia.report.probes import probed

COST = {"train_seconds": 1, "evaluate_seconds": 1, "samples_per_second": 1, "samples": 1, "steps": 1,
        "trainable_parameters": 1, "total_parameters": 1, "added_parameters": 1, "memory_bytes": 0, "disk_bytes": 0,
        "peak_memory_bytes": 0, "flops": 0}  # fmt: skip


def scores(**probes):
    nan = float("nan")
    return Scores(polymnia="0", config={}, seed=0, stages=["a", "b"], metric="accuracy",
                  matrix=[[1.0, None], [0.5, 1.0]],
                  final_average=nan, average_incremental=nan, forgetting=nan, backward_transfer=nan,
                  learning_accuracy=nan, per_subset={}, cost=[{"stage": s, **COST} for s in "ab"],
                  weights_sha256="0" * 64, probes=probes)  # fmt: skip


def test_use_is_a_share_of_the_stage():
    found = probed(scores(experts={"usage": [[[3.0, 1.0]], [[1.0, 1.0, 2.0]]]}))
    assert found["figures"] == []
    (block,) = found["blocks"]
    assert [[cell["text"] for cell in row["cells"]] for row in block["rows"]] == [
        ["75.0", "25.0", "–"],
        ["25.0", "25.0", "50.0"],
    ]
    assert block["rows"][0]["cells"][0]["look"] == "h15" and block["experts"] == 3


def test_figures_are_named_by_their_probe():
    assert probed(scores(alignment={"cosine": 0.5}))["figures"] == [("alignment, cosine", "0.500")]
    assert not any(probed(scores()).values())
