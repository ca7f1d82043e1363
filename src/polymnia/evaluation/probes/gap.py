"""`gap`: how far modalities lie apart in the space."""

from torch.nn.functional import normalize

from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.space import Space, has_space, split_mean
from polymnia.methods.base import Method


@register("gap")
class Gap(Probe):
    """The modality gap, over test samples that have both of two modalities, joined by id.

    `distance`: Euclidean distance of the centroids of two modalities' vectors of length 1, from 0 to 2. `cosine`: mean
    cosine of the two vectors of a sample. Both as means over pairs of modalities, and with `seen` and `unseen` before
    them over those that a stage held together and those never paired.

    Source: Liang et al. 2022 ("Mind the gap"), section 2 (distance of centroids).
    """

    each = True

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return distances and cosines."""
        if not has_space(method):
            return {}
        space = Space(method, stream, stage)
        rows: dict[str, list[tuple[bool, float]]] = {"distance": [], "cosine": []}
        for a, b, seen in space.pairs():
            one, other = (normalize(clips.vectors.double(), dim=1) for clips in space.both(a, b))
            if len(one):
                rows["distance"].append((seen, float((one.mean(0) - other.mean(0)).norm())))
                rows["cosine"].append((seen, float((one * other).sum(1).mean())))
        figures: Figures = {}
        for name, found in rows.items():
            if found:
                figures[name] = sum(value for _, value in found) / len(found)
                figures |= {f"{group} {name}": value for group, value in split_mean(found).items()}
        return figures
