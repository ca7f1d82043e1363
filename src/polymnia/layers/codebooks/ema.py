"""`ema`: plain vector quantisation with moving averages; each vector counts for itself alone."""

from dataclasses import dataclass

from polymnia.errors import SettingsError
from polymnia.layers.codebooks.base import register
from polymnia.layers.codebooks.multimodal_ema import MultimodalEMA


@register("ema")
class EMA(MultimodalEMA):
    """`multimodal-ema` without partners: the rival that shows what they bring.

    Source: van den Oord et al. 2017 (VQ-VAE), appendix A.1; reset and growth as in `multimodal-ema`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings(MultimodalEMA.Settings):
        """As of `multimodal-ema`, without partners."""

        partner: float = 0.0

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.partner:
                raise SettingsError(
                    f"codebook.partner: {self.partner} is given; 'ema' has none (0). With partners: 'multimodal-ema'"
                )
