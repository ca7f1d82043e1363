"""Verdicts: whether a claim that was written down before running holds, and the figures that decide."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from polymnia.evaluation.statistics import mean_interval, paired
from polymnia.experiments.checks import PROBE, SUBSET
from polymnia.experiments.settings import Claim, Relation

HOLDS, FAILS, UNTESTED = "holds", "does not hold", "not tested"
CONTRARY = "the whole interval lies on the other side"
UNDECIDED = "the interval reaches over the bound"

Record = Mapping[str, Any]
Records = Mapping[tuple[str, str, int], Record]
"""(stream, method, seed) → the figures of that run."""


def judge(low: float, high: float, relation: Relation, margin: float) -> tuple[str, str]:
    """Return the verdict on an interval of left − right, and why where it does not hold.

    Examples
    --------
    >>> judge(0.02, 0.10, "greater", 0.0)
    ('holds', '')
    >>> judge(-0.02, 0.10, "greater", 0.0)
    ('does not hold', 'the interval reaches over the bound')
    >>> judge(-0.02, 0.10, "at least", 0.05)
    ('holds', '')
    >>> judge(0.06, 0.10, "within", 0.05)
    ('does not hold', 'the whole interval lies on the other side')
    """
    shown, contrary = {
        "greater": (low > margin, high <= margin),
        "less": (high < -margin, low >= -margin),
        "at least": (low >= -margin, high < -margin),
        "at most": (high <= margin, low > margin),
        "within": (-margin <= low and high <= margin, low > margin or high < -margin),
    }[relation]
    return (HOLDS, "") if shown else (FAILS, CONTRARY if contrary else UNDECIDED)


def decide(
    claim: Claim, records: Records, *, streams: Sequence[str], seeds: Sequence[int], missing: Mapping[str, str]
) -> dict[str, Any]:
    """Return a claim with its verdict and every comparison behind it, as JSON.

    Parameters
    ----------
    claim : Claim
        What was expected.
    records : Mapping
        The figures of the runs there are.
    streams : sequence of str
        All streams of the experiment: those of a claim that names none.
    seeds : sequence of int
        All seeds that were planned. With some of them missing nothing is decided, so that nobody can stop at a
        moment that suits a claim.
    missing : Mapping
        Stream → why it could not be built.
    """
    comparisons = [
        compare(claim, stream, left, right, records, seeds=seeds, missing=missing)
        for stream in (claim.streams or streams)
        for left in claim.lefts
        for right in claim.rights
    ]
    verdicts = [comparison["verdict"] for comparison in comparisons]
    verdict = next((v for v in (FAILS, UNTESTED) if v in verdicts), HOLDS)
    reasons = dict.fromkeys(c["why"] for c in comparisons if c["verdict"] == verdict and c["why"])
    return {
        **asdict(claim),
        "verdict": verdict,
        "why": "; ".join(reasons),
        "holding": verdicts.count(HOLDS),
        "comparisons": comparisons,
    }


def compare(
    claim: Claim,
    stream: str,
    left: str,
    right: str | float,
    records: Records,
    *,
    seeds: Sequence[int],
    missing: Mapping[str, str],
) -> dict[str, Any]:
    """Return one comparison of a claim on one stream, with its figures and its verdict, as JSON."""
    about = {"stream": stream, "left": left, "right": right}
    if stream in missing:
        return about | {"verdict": UNTESTED, "why": f"{stream}: {missing[stream]}"}
    a, why = values(records, stream, left, claim.metric, seeds)
    b, why_right = (
        values(records, stream, right, claim.metric, seeds)
        if isinstance(right, str)
        else ([float(right)] * len(seeds), "")
    )
    if why or why_right or len(seeds) < 2:
        return about | {"verdict": UNTESTED, "why": why or why_right or "one seed has no interval"}
    difference, half_width, p = paired(a, b)
    half = half_width or 0.0  # two seeds or more always have one
    verdict, why = judge(difference - half, difference + half, claim.relation, claim.margin)
    return about | {
        "n": len(seeds),
        "left_mean": mean_interval(a).mean,
        "right_mean": mean_interval(b).mean,
        "difference": difference,
        "half_width": half,
        "p": p,
        "same": a == b,  # in every seed: the sides did not differ, so that a margin which holds says little
        "verdict": verdict,
        "why": why,
    }


def values(records: Records, stream: str, method: str, metric: str, seeds: Sequence[int]) -> tuple[list[float], str]:
    """Return one figure of a method for every seed, or why there is none."""
    runs = [records[key] for seed in seeds if (key := (stream, method, seed)) in records]
    if len(runs) < len(seeds):
        return [], f"{stream}/{method}: {len(runs)} of {len(seeds)} seeds have run"
    found = [figure(run, metric) for run in runs]
    held = [value for value in found if value is not None]
    if len(held) < len(found):
        return [], f"{stream}/{method}: no {metric} was measured"
    return held, ""


def figure(run: Record, metric: str) -> float | None:
    """Return a figure of a run by the name that claims use."""
    if metric.startswith(SUBSET):
        wanted = set(metric.removeprefix(SUBSET).split("+"))
        return next((score for name, score in run["per_subset"].items() if set(name.split("+")) == wanted), None)
    if metric.startswith(PROBE):
        probe, _, name = metric.removeprefix(PROBE).partition(".")
        return run.get("probes", {}).get(probe, {}).get(name)
    return run.get(metric)
