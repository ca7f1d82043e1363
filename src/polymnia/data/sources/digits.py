"""`digits`: scikit-learn's 1,797 handwritten digits, seen by three sensors; nothing to download."""

from dataclasses import dataclass

import numpy as np
import torch

from polymnia.data.modality import Array
from polymnia.data.samples import Samples
from polymnia.data.source import Dataset, Source, register
from polymnia.data.stage import Card
from polymnia.errors import DataError, MissingExtra

SENSORS = ("pixels", "projections", "spectrum")


@register("digits")
class Digits(Source):
    """Handwritten digits of 8 × 8 pixels as three sensors, each a function of the same scan.

    `pixels` (64), `spectrum` (40: magnitudes of the 2-D Fourier transform, without the half that symmetry
    repeats), `projections` (16: sums over rows and over columns). All are scaled to about unit size.
    """

    card = Card(
        title="Optical recognition of handwritten digits (test part), from scikit-learn",
        licence="CC BY 4.0 (UCI), BSD-3-Clause (scikit-learn's copy)",
        citation="E. Alpaydin, C. Kaynak (1998). Optical Recognition of Handwritten Digits. UCI. doi:10.24432/C50P49",
        homepage="https://archive.ics.uci.edu/dataset/80",
        notes="Three views of one scan: it shows mechanisms, not complementary information.",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which sensors."""

        modalities: tuple[str, ...] = SENSORS

    def load(self) -> Dataset:
        """Return the 1,797 scans."""
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise MissingExtra("scikit-learn", "bundled") from None
        wrong = sorted(set(self.settings.modalities) - set(SENSORS))
        if wrong or not self.settings.modalities:
            raise DataError(
                f"digits has no modality {', '.join(wrong) or '(none given)'}. Accepted: {', '.join(SENSORS)}"
            )
        images, labels = load_digits(return_X_y=True)
        scans = (images / 16.0).reshape(-1, 8, 8)
        views = sensors(scans)
        n, names = len(scans), sorted(self.settings.modalities)
        samples = Samples(
            np.array([f"digit-{i:04d}" for i in range(n)]),
            {m: views[m] for m in names},
            {m: torch.ones(n, dtype=torch.bool) for m in names},
            torch.from_numpy(labels.astype(np.int64)),
            {"label": labels.astype(str)},
        )
        return Dataset(samples=samples, class_names=tuple("0123456789"), kinds=dict.fromkeys(names, "table"))


def sensors(scans: Array) -> dict[str, Array]:
    """Return the three views (N, 64), (N, 40), (N, 16) of scans (N, 8, 8) in [0, 1].

    A real image's spectrum is symmetric, so columns 0 to 4 of the transform hold all its magnitudes.
    """
    spectrum = np.abs(np.fft.fft2(scans))[:, :, :5].reshape(-1, 40) / 8.0
    projections = np.concatenate([scans.sum(2), scans.sum(1)], axis=1) / 4.0
    views = {"pixels": scans.reshape(-1, 64), "spectrum": spectrum, "projections": projections}
    return {name: view.astype(np.float32) for name, view in views.items()}
