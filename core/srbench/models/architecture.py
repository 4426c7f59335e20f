"""Architecture summary: depth, filters, upsampling and skip connections, as in the tables of papers."""

from __future__ import annotations

from dataclasses import dataclass

from srbench.errors import ConfigError

__all__ = ["RECONSTRUCTIONS", "UPSAMPLINGS", "Architecture"]

UPSAMPLINGS = ("pre", "post")
RECONSTRUCTIONS = ("direct", "progressive")


@dataclass(frozen=True)
class Architecture:
    """Describe a network as the tables of papers do (e.g. Lai et al., MS-LapSRN, TPAMI 2018, Table 1).

    Attributes:
        depth: Layers with weights on the longest path from input to output. Every use counts: a convolution used 25
            times is 25 layers. Layers that only compute attention weights do not count.
        filters: Number of feature channels.
        upsampling: `pre` where the image is enlarged before the network, `post` where features are enlarged in it.
        reconstruction: `direct`, or `progressive` in levels of factor 2.
        multi_scale: Whether one network is trained for several scales.
        global_skip: Whether the (enlarged) input image is added to the output.
        local_skips: Whether there are skip connections inside.

    Raises:
        ConfigError: A value is not one of the above, or a number is below 1.
    """

    depth: int
    filters: int
    upsampling: str = "post"
    reconstruction: str = "direct"
    multi_scale: bool = False
    global_skip: bool = False
    local_skips: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (
            ("upsampling", self.upsampling, UPSAMPLINGS),
            ("reconstruction", self.reconstruction, RECONSTRUCTIONS),
        ):
            if value not in known:
                raise ConfigError(f"{name}='{value}' is not one of {', '.join(known)}")
        if self.depth < 1 or self.filters < 1:
            raise ConfigError(f"depth and filters must be at least 1; got {self.depth} and {self.filters}")
