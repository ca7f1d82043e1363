"""`pairs`: retrieval between every two modalities, those that never met in training too."""

from typing import Any

from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.retrieval import retrieved
from polymnia.evaluation.space import Clips, Space, has_space, split_mean
from polymnia.methods.base import Method

KS = (1, 5, 10)
CLASS = "class R@1"


@register("pairs")
class Pairs(Probe):
    """Exact retrieval by cosine of continuous vectors, both ways, over every two modalities; ties count against us.

    The candidates are the test samples that have both modalities, in whichever stages: samples are joined by id. How
    many there are decides what a recall is worth, so each row of `table` has `samples`. Two samples with one and the
    same value (a caption) can each rank at best second.

    `seen R@k`, `seen median rank`, `unseen …`: means over both ways and over pairs that a stage held together, and
    over those never paired. `seen class R@1`, `unseen class R@1`: how often the nearest candidate has the right class,
    where samples have classes; it says more than the others where a class is all that two modalities share. `table`: a
    row for each ordered pair.
    """

    each = True

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return recalls, median ranks and the table."""
        if not has_space(method):
            return {}
        space = Space(method, stream, stage)
        table: list[dict[str, Any]] = []
        for a, b, seen in space.pairs():
            one, other = space.both(a, b)
            if len(one) < 2:
                continue
            ways = retrieved(one.vectors, other.vectors, ks=KS)
            classes = _by_class(one, other)
            for asked, found, way, of_class in zip((a, b), (b, a), ways, classes, strict=True):
                recalls = {f"R@{k}": way.recall[k] for k in KS} | of_class
                table.append({"from": asked, "to": found, "seen": seen, "samples": way.of, **recalls,
                              "median rank": way.median_rank})  # fmt: skip
        figures: Figures = {}
        for name in (*(f"R@{k}" for k in KS), CLASS, "median rank"):
            for group, mean in split_mean([(row["seen"], row[name]) for row in table if name in row]).items():
                figures[f"{group} {name}"] = mean
        return figures | {"table": table}


def _by_class(one: Clips, other: Clips) -> list[dict[str, float]]:
    """Return for both ways the recall at 1 where any candidate of the query's class is right; nothing of one class."""
    known = (one.targets >= 0).numpy()
    one, other = one.take(known), other.take(known)
    if len(one.targets.unique()) < 2:
        return [{}, {}]
    ways = retrieved(one.vectors, other.vectors, ks=(1,), keys=one.targets.numpy().astype(str))
    return [{CLASS: way.recall[1]} for way in ways]
