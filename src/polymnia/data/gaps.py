"""Gaps: values that are taken away at random, so that what a sensor that fails costs can be measured."""

from dataclasses import replace

import numpy as np
import torch

from polymnia.data.samples import Samples
from polymnia.errors import SettingsError
from polymnia.randomness import derive


def with_gaps(samples: Samples, share: float, *, seed: int) -> Samples:
    """Return samples without a share of their values, drawn for each modality by itself; each keeps at least one.

    What a sample does not have stays missing. A larger share takes away all that a smaller one does.

    Parameters
    ----------
    samples : Samples
        Raw or encoded.
    share : float
        From 0 to 1.
    seed : int
        Of the draw.

    Examples
    --------
    >>> from polymnia.data.samples import Sample
    >>> whole = Samples.of([Sample(str(i), {"a": np.zeros(1), "b": np.zeros(1)}) for i in range(100)])
    >>> gappy = with_gaps(whole, 0.3, seed=0)
    >>> bool((gappy.present["a"] | gappy.present["b"]).all()), 50 < int(gappy.present["a"].sum()) < 90
    (True, True)
    """
    if not 0 <= share <= 1:
        raise SettingsError(f"stream.missing: {share} is given; a share from 0 to 1 is accepted")
    if not share or not len(samples):
        return samples
    names = sorted(samples.present)
    has = torch.stack([samples.present[m] for m in names], 1).numpy()
    columns = [np.random.default_rng(derive(seed, "gaps", m)).random(len(samples)) for m in names]
    draws = np.where(has, np.stack(columns, 1), -1.0)
    kept = draws >= share
    kept[np.arange(len(samples)), draws.argmax(1)] = True  # the value that is furthest from being taken away
    kept &= has
    return replace(samples, present={m: torch.from_numpy(kept[:, at].copy()) for at, m in enumerate(names)})
