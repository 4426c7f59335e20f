"""VDSR (Kim et al., CVPR 2016): twenty convolutions on the enlarged luma with a skip over all of them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, ConfigError, LumaBackbone, SharingSite, matlab_bicubic, register_backbone
from srbench_zoo.parts import bicubic_reach, initialise_he

__all__ = ["VDSR", "vdsr"]


class VDSR(LumaBackbone):
    """A plain chain of convolutions added to the bicubically enlarged luma; one network for all scales.

    Source: Kim, Lee and Lee, "Accurate Image Super-Resolution Using Very Deep Convolutional Networks", CVPR 2016.

    Args:
        scales: Any scales of at least 2.
        num_layer: Number of convolutions, at least 2.
        num_feat: Feature channels.

    Raises:
        ConfigError: A scale below 2, or too few layers.
    """

    def __init__(self, scales: tuple[int, ...], num_layer: int = 20, num_feat: int = 64) -> None:
        if any(scale < 2 for scale in scales) or num_layer < 2:
            raise ConfigError(
                f"VDSR enlarges by 2 or more and has 2 layers or more; got scale {', '.join(map(str, scales))} and "
                f"num_layer={num_layer}"
            )
        super().__init__(scales)
        self.entry = nn.Conv2d(1, num_feat, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(num_feat, num_feat, 3, padding=1) for _ in range(num_layer - 2))
        self.exit = nn.Conv2d(num_feat, 1, 3, padding=1)
        initialise_he(self)
        self.architecture = Architecture(
            depth=num_layer, filters=num_feat, upsampling="pre", multi_scale=True, global_skip=True
        )

    @property
    def receptive_field(self) -> int:  # type: ignore[override]  # it depends on the scales
        """LR pixels on each side that an output pixel depends on, at the smallest scale."""
        return bicubic_reach(len(self.body) + 2, min(self.scales))

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions between the first and the last, in one bank and one tie class."""
        return [
            SharingSite(f"body.{number}", kind="conv", bank="body", tie="conv", step=(number,))
            for number in range(len(self.body))
        ]

    def luma(self, luma: Tensor, scale: int) -> Tensor:
        """Return the SR luma `(N, 1, s*h, s*w)`."""
        enlarged = matlab_bicubic(luma, scale)
        features = self.entry(enlarged)
        for conv in self.body:
            features = conv(F.relu(features))
        return self.exit(F.relu(features)) + enlarged  # type: ignore[no-any-return]


@register_backbone
def vdsr(scales: tuple[int, ...]) -> VDSR:
    """Build VDSR: 20 layers of 64 features (665,921 parameters, at every scale)."""
    return VDSR(scales)
