"""`pairs`: retrieval between every two modalities, those that never met in training too."""

from typing import Any

from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.retrieval import retrieved
from polymnia.evaluation.space import Space, has_space, split_mean
from polymnia.methods.base import Method

KS = (1, 5, 10)


@register("pairs")
class Pairs(Probe):
    """Exact retrieval by cosine of continuous vectors, both ways, over every two modalities; ties count against us.

    The candidates are the test samples that have both modalities, in whichever stages: samples are joined by id. How
    many there are decides what a recall is worth, so each row of `table` has `samples`. Two samples with one and the
    same value (a caption) can each rank at best second.

    `seen R@k`, `seen median rank`, `unseen …`: means over both ways and over pairs that a stage held together, and
    over those never paired. `table`: a row for each ordered pair.
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
            for asked, found, way in zip((a, b), (b, a), retrieved(one.vectors, other.vectors, ks=KS), strict=True):
                recalls = {f"R@{k}": way.recall[k] for k in KS}
                table.append({"from": asked, "to": found, "seen": seen, "samples": way.of, **recalls,
                              "median rank": way.median_rank})  # fmt: skip
        figures: Figures = {}
        for name in (*(f"R@{k}" for k in KS), "median rank"):
            for group, mean in split_mean([(row["seen"], row[name]) for row in table]).items():
                figures[f"{group} {name}"] = mean
        return figures | {"table": table}
