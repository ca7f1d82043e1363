"""How much a delta trains, and the settings with which another trains as much: fair rivals, without any weights."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch

from polymnia.config import Named, part, whole
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.deltas.base import DELTAS
from polymnia.layers.deltas.mixture import Mixture

Shapes = Iterable[tuple[int, int]]
"""Widths (inputs, outputs) of the linear layers that a delta stands beside, one pair a layer."""


def trainable(delta: Named | None, shapes: Shapes) -> int:
    """Return how many numbers a delta trains in its first stage, of one modality, beside layers of these shapes.

    Examples
    --------
    MoDE beside the three maps of each of the 32 feed-forward layers of Chameleon 7B:

    >>> chameleon = 32 * [(4096, 11008), (4096, 11008), (11008, 4096)]
    >>> trainable({"name": "decoupled", "experts": 4, "rank": 8}, chameleon)
    60456960
    """
    if delta is None:
        return 0
    kind, settings = part(DELTAS, delta, "delta")
    return sum(count * _of_one(kind, settings, shape) for shape, count in Counter(shapes).items())


def matched(name: str, *, like: Named, shapes: Shapes, **settings: Any) -> dict[str, Any]:
    """Return a delta's settings with the rank at which it trains most nearly as many numbers as another does.

    What it adds is scaled as the other's is: alpha is the rank times the other's alpha / rank.

    Parameters
    ----------
    name : str
        The delta whose rank is sought: "lora", "mixture", any that has `rank` and `alpha`.
    like : str or dict
        The delta that it is to be as large as.
    shapes : iterable of (int, int)
        Of the layers that both stand beside.
    settings : Any
        What else is set of the first: ``experts=4``.

    Raises
    ------
    SettingsError
        One of the two has no rank, or there is no layer.

    Examples
    --------
    With the same number of experts, a mixture has the same router and is as large to the last number:

    >>> shapes = [(64, 160), (64, 160), (160, 64)]
    >>> mixture = matched("mixture", like={"name": "decoupled", "rank": 8}, shapes=shapes, experts=4)
    >>> mixture["rank"], mixture["alpha"], trainable(mixture, shapes) - trainable("decoupled", shapes)
    (40, 80.0, 0)

    One map makes up for the missing routers with its rank:

    >>> matched("lora", like="decoupled", shapes=shapes)["rank"]
    42
    """
    held, other = list(shapes), whole(DELTAS, like, "like")
    if other is None or not {"rank", "alpha"} <= other.keys() or not held:
        raise SettingsError(
            f"like: {like!r} beside {len(held)} layers is given; a delta with rank and alpha is needed, and a layer"
        )
    wanted, scale = trainable(like, held), other["alpha"] / other["rank"]
    step = settings.get("experts", Mixture.Settings.experts) if name == Mixture.name else 1  # they share its rank

    def made(rank: int) -> dict[str, Any]:
        return {"name": name, **settings, "rank": rank, "alpha": scale * rank}

    rank = step
    while trainable(made(rank), held) < wanted:
        rank += step
    nearest = [each for each in (rank - step, rank) if each]
    return made(min(nearest, key=lambda each: abs(trainable(made(each), held) - wanted)))


def _of_one(kind: Any, settings: Any, shape: tuple[int, int]) -> int:
    with torch.device("meta"):
        delta = kind(*shape, settings)
        delta.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": 1}))
    return sum(p.numel() for p in delta.parameters() if p.requires_grad)
