"""Gradients in the report: three figures over the steps, one of single steps, and none where nothing was measured."""

from pathlib import Path

import pytest
import torch

from polymnia.evaluation.conflicts import recorded
from polymnia.evaluation.scores import Scores
from polymnia.report.conflict import conflict_plots, thinned
from polymnia.report.folder import RunFolder

pytest.importorskip("matplotlib")
COST = {"train_seconds": 1, "evaluate_seconds": 1, "samples_per_second": 1, "samples": 1, "steps": 6,
        "trainable_parameters": 1, "total_parameters": 1, "added_parameters": 1, "memory_bytes": 0, "disk_bytes": 0,
        "peak_memory_bytes": 0, "flops": 0}  # fmt: skip


def record(parts, *, steps=3):
    random = torch.Generator().manual_seed(0)
    found = torch.rand(steps, 2, 3, 5, generator=random) + 1
    found[..., 3:] -= 1.5
    found *= torch.tensor([float(part in parts) for part in ("text", "picture", "shared")])[:, None]
    losses = [[1.0 + 0.1 * step, 1.1 + 0.1 * step] for step in range(steps)]
    kept = recorded(found, layers=["layer 1", "layer 2"], parts=parts)
    return {"steps": [2 * step for step in range(steps)], "drawing loss": losses, **kept}


def run(records, **probes):
    nan = float("nan")
    scores = Scores(polymnia="0", config={}, seed=0, stages=["a", "b"], metric="accuracy",
                    matrix=[[1.0, None], [0.5, 1.0]], final_average=nan, average_incremental=nan, forgetting=nan,
                    backward_transfer=nan, learning_accuracy=nan, per_subset={}, weights_sha256="0" * 64,
                    cost=[{"stage": s, **COST} for s in "ab"], probes=probes)  # fmt: skip
    return RunFolder(path=Path(), settings={}, stream={}, environment={}, scores=scores, conflict=records)


def test_figures_over_the_steps_of_all_stages():
    drawn = conflict_plots(run({"a": record(["text", "picture"]), "b": record(["text", "picture"])}))
    cosine, path, layers = (plot.svg for plot in drawn)
    assert all(name in cosine for name in ("all parameters", "texts' alone", "pictures' alone", "Δθ and g_v"))
    assert "first order, pictures' alone" in path and "actual" in path
    assert (
        "layer 1, pictures' alone" in layers and "layer 2, texts' alone" in layers and layers.count("opacity: ") >= 10
    )
    assert "shared" not in cosine + path and "#0f0f" not in cosine + path + layers


def test_a_single_part_is_not_drawn_twice():
    cosine = conflict_plots(run({"b": record(["shared"])}))[0].svg
    assert "all parameters" in cosine and "g_v, shared" not in cosine


def test_single_steps_say_what_changes_nothing():
    steps = [
        {"route": route, "block": block, "rate": rate, "change": 0.0 if (block, route) == ("text", "output") else -rate,
         "first_order": 0.0}
        for route in ("output", "token") for block in ("all", "text") for rate in (1e-3, 1e-2)
    ]  # fmt: skip
    (drawn,) = conflict_plots(run({}, slopes={"steps": steps}))
    assert "Exactly nothing changes for: texts' alone, by output." in drawn.caption
    assert "texts' alone, by token" in drawn.svg and "texts' alone, by output" not in drawn.svg


def test_nothing_measured_nothing_drawn():
    assert conflict_plots(run({})) == []
    still = record(["shared"])
    for series in (still["series"]["shared"], still["series"]["all"], *(s["all"] for s in still["layers"].values())):
        series["cosine"] = [None, None, None]
    assert len(conflict_plots(run({"a": still}))) == 3


def test_long_lines_are_means_of_neighbours():
    line = [(float(x), 2.0 * x) for x in range(1000)]
    found = thinned(line)
    assert len(found) == 100 and found[0] == (4.5, 9.0) and found[-1] == (994.5, 1989.0)
