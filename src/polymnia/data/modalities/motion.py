"""`motion`: what an inertial sensor measured over time."""

from typing import ClassVar

from polymnia.data.modality import Array, Modality, register
from polymnia.data.numbers import finite, numbers
from polymnia.errors import DataError


@register("motion")
class Motion(Modality):
    """Measurements (T, channels) in float32: an array, a `.npy` file or a text file with one time step a line.

    An array (T,) is one channel. A column of time stamps is a channel like any other: leave it out of the file.
    Limits: 256 MiB a file, 1,000,000 steps, 512 channels.

    Examples
    --------
    >>> Motion().read(b"x y z\\n0 0 9.8\\n0 1 9.7\\n").shape
    (2, 3)
    """

    suffixes = (".npy", ".csv")
    max_steps: ClassVar[int] = 1_000_000
    max_channels: ClassVar[int] = 512

    def decode(self, data: bytes) -> Array:
        """Return the measurements of a file."""
        return self.check(numbers(data, limit=self.max_steps * self.max_channels))

    def check(self, array: Array) -> Array:
        """Return finite float32 measurements (T, channels)."""
        steps = finite(array, ndims=(1, 2), form="(T, channels) or (T,)")
        steps = steps[:, None] if steps.ndim == 1 else steps
        if steps.shape[0] > self.max_steps or steps.shape[1] > self.max_channels:
            raise DataError(
                f"has {steps.shape[0]:,} steps of {steps.shape[1]:,} channels; "
                f"the limits are {self.max_steps:,} and {self.max_channels:,} (is it transposed?)"
            )
        return steps
