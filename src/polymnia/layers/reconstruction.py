"""Reconstruction: what a modality says beyond the shared code, and its values again from both."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from polymnia.errors import SettingsError


class Disentangler(nn.Module):
    """For each modality a specific encoder beside the shared one, and a decoder from the code and what is specific.

    ``specific = ReLU(A_m x)`` and ``x̂ = C_m [B_m code; specific]``: linear maps that inference has no use for.

    Source: the audio and text branch of Xia et al. 2023 (Uni-Code), eq. 1 and 3, as in its released code. The video
    branch there is left out: convolutions over 7 × 7 maps down, transposed ones up. Here a frozen encoder's tokens
    are vectors whatever the modality, and have no plane to convolve over.

    Examples
    --------
    >>> parts = Disentangler()
    >>> parts.grow({"image": 6}, 4)
    >>> values, codes = torch.randn(2, 3, 6), torch.randn(2, 3, 4)
    >>> aside = parts.specific("image", values)
    >>> aside.shape, parts.decode("image", codes, aside).shape
    (torch.Size([2, 3, 4]), torch.Size([2, 3, 6]))
    """

    def __init__(self) -> None:
        super().__init__()
        self.aside, self.code, self.back = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()

    def grow(self, widths: Mapping[str, int], width: int) -> None:
        """Add the maps of new modalities; those of others stay.

        Parameters
        ----------
        widths : Mapping
            Modality → d_m.
        width : int
            D.

        Raises
        ------
        SettingsError
            A modality that it knows comes with another width.
        """
        for m in sorted(widths):
            if m not in self.aside:
                self.aside[m] = nn.Linear(widths[m], width)
                self.code[m] = nn.Linear(width, width)
                self.back[m] = nn.Linear(2 * width, widths[m])
            elif (known := (self.aside[m].in_features, self.aside[m].out_features)) != (widths[m], width):
                raise SettingsError(f"{m}: widths {(widths[m], width)} are given; it has grown by {known}")

    def specific(self, modality: str, values: Tensor) -> Tensor:
        """Return (B, N, D), what only this modality says, for values (B, N, d_m)."""
        return self.aside[modality](values).relu()

    def decode(self, modality: str, vectors: Tensor, specific: Tensor) -> Tensor:
        """Return (B, N, d_m), the values again, from code vectors (B, N, D) and what is specific (B, N, D)."""
        decoded: Tensor = self.back[modality](torch.cat([self.code[modality](vectors), specific], -1))
        return decoded


def reconstruction(decoded: Tensor, values: Tensor, present: Tensor) -> Tensor:
    """Return the mean square of what is wrong, over the rows that have the modality; 0 where none has.

    Parameters
    ----------
    decoded, values : Tensor
        (B, N, d_m) of one modality; what stands in rows that lack it has no influence.
    present : Tensor
        (B,) bool.

    Returns
    -------
    Tensor
        A scalar. A mean over dimensions too, so that wide modalities do not outweigh narrow ones.

    Source: the first term of eq. 3 of Xia et al. 2023.

    Examples
    --------
    >>> decoded, values = torch.tensor([[[1.0]], [[5.0]]]), torch.tensor([[[3.0]], [[0.0]]])  # (2, 1, 1)
    >>> float(reconstruction(decoded, values, torch.tensor([True, False])))
    4.0
    """
    wrong = (decoded[present] - values[present]).square()
    return wrong.mean() if wrong.numel() else wrong.sum()
