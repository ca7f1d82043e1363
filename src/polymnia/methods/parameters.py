"""Values kept beside a model's parameters, by name: copies of them, and zeros for what grew since."""

from collections.abc import Mapping

from torch import Tensor

from polymnia.models.base import Model


def copied(model: Model) -> dict[str, Tensor]:
    """Return a copy of every trainable parameter."""
    return {name: p.detach().clone() for name, p in model.trainable().items()}


def zeros(model: Model) -> dict[str, Tensor]:
    """Return zeros in the shape of every trainable parameter."""
    return {name: p.detach().new_zeros(p.shape) for name, p in model.trainable().items()}


def fitted(kept: Mapping[str, Tensor], model: Model) -> dict[str, Tensor]:
    """Return what is kept in today's shapes: old entries first, as in a grown weight, and zeros after them.

    Examples
    --------
    >>> import torch
    >>> from polymnia.data.stage import Outline
    >>> from polymnia.models.classifier import Classifier
    >>> model = Classifier(Classifier.Settings(width=2))
    >>> model.grow(Outline(index=0, name="first", modalities=("image",), classes=(0, 1, 2), widths={"image": 2}))
    >>> fitted({"head.bias": torch.ones(2)}, model)["head.bias"].tolist()
    [1.0, 1.0, 0.0]
    """
    grown = zeros(model)
    for name, value in kept.items():
        if name in grown:
            grown[name][tuple(slice(0, length) for length in value.shape)] = value
    return grown
