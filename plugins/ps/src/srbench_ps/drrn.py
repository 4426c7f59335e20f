"""DRRN (Tai et al., CVPR 2017), unrolled, multi-scale and without batch normalisation (Park and Cho, WACV 2025)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone, tie

__all__ = ["DRRN", "drrn_b1u9", "drrn_b1u25"]

# BT.601 for 0..255 and its inverse, with the authors' rounded coefficients, which their networks were trained with.
_TO_YCBCR = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_TO_YCBCR_OFFSET = (16.0, 128.0, 128.0)
_TO_RGB = ((0.00456621, 0.0, 0.00625893), (0.00456621, -0.00153632, -0.00318811), (0.00456621, 0.00791071, 0.0))
_TO_RGB_OFFSET = (-222.921, 135.576, -276.836)


class ResidualUnit(nn.Module):
    """Two pre-activated convolutions without bias; the network adds the skip connection.

    Args:
        num_feat: Features.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the residual `(N, C, H, W)`."""
        return self.conv2(F.relu(self.conv1(F.relu(x))))  # type: ignore[no-any-return]


class DRRN(Backbone):
    """One recursive block of residual units, each added to the block's input; all units are one natively.

    The image is enlarged first (torch's bicubic, clamped to 0..1); the network refines its luma, mapped to -1..1.

    Args:
        scales: Any of 2, 3, 4; only the upsampled image differs.
        num_unit: Residual units (B1U9: 9).
        num_feat: Features.

    Raises:
        ConfigError: A scale below 2.
    """

    to_ycbcr: Tensor
    to_ycbcr_offset: Tensor
    to_rgb: Tensor
    to_rgb_offset: Tensor

    def __init__(self, scales: tuple[int, ...], num_unit: int = 9, num_feat: int = 128) -> None:
        if any(scale < 2 for scale in scales):
            raise ConfigError(f"DRRN enlarges by 2 or more; got scale {', '.join(map(str, scales))}")
        super().__init__(scales)
        # Pixels of the enlarged image; two LR pixels more for the bicubic kernel.
        self.receptive_field = -(-(2 * num_unit + 2) // min(scales)) + 2
        self.architecture = Architecture(
            depth=2 * num_unit + 2,
            filters=num_feat,
            upsampling="pre",
            multi_scale=True,
            global_skip=True,
            local_skips=True,
        )
        self.entry = nn.Conv2d(1, num_feat, 3, padding=1)
        self.units = nn.ModuleList(ResidualUnit(num_feat) for _ in range(num_unit))
        self.exit = nn.Conv2d(num_feat, 1, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self._constant("to_ycbcr", _TO_YCBCR)
        self._constant("to_ycbcr_offset", _TO_YCBCR_OFFSET)
        self._constant("to_rgb", _TO_RGB)
        self._constant("to_rgb_offset", _TO_RGB_OFFSET)
        tie(self, self.sharing_sites())

    def _constant(self, name: str, values: tuple[object, ...]) -> None:
        self.register_buffer(name, torch.tensor(values), persistent=False)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of the units: one bank, two tie classes."""
        return [
            SharingSite(f"units.{unit}.{conv}", kind="conv", bank="units", tie=conv, step=(unit,))
            for unit in range(len(self.units))
            for conv in ("conv1", "conv2")
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        enlarged = F.interpolate(lr, scale_factor=scale, mode="bicubic", align_corners=False).clamp(0, 1)
        ycbcr = self._affine(enlarged, self.to_ycbcr, self.to_ycbcr_offset)
        luma = ((ycbcr[:, :1] - 16) / 219 - 0.5) * 2
        source = features = self.entry(luma)
        for unit in self.units:
            features = unit(features) + source
        refined = self.exit(F.relu(features)) + luma
        ycbcr = torch.cat([(refined + 1) * 219 / 2 + 16, ycbcr[:, 1:]], 1)
        # The second matrix takes 0..255 to 0..1; only its offsets are written for 0..255.
        return self._affine(ycbcr, self.to_rgb, self.to_rgb_offset / 255)

    @staticmethod
    def _affine(image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
        return torch.einsum("ij,njhw->nihw", matrix, image) + offset[:, None, None]


@register_backbone
def drrn_b1u9(scales: tuple[int, ...]) -> DRRN:
    """Build DRRN with 9 residual units, 20 layers deep (297,345 parameters, at every scale)."""
    return DRRN(scales)


@register_backbone
def drrn_b1u25(scales: tuple[int, ...]) -> DRRN:
    """Build DRRN with 25 residual units, 52 layers deep, with the same parameters as `drrn_b1u9` (297,345)."""
    return DRRN(scales, num_unit=25)
