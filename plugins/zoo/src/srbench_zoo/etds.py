"""ETDS (Chao et al., CVPR 2023): a chain of convolutions that carries the image in three of its channels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, SharingSite, register_backbone
from srbench_zoo.parts import activated_conv, single_scale

__all__ = ["ETDS", "ecbsr_et_m6c40", "etds_l", "etds_m", "etds_s", "etds_t"]

# Output channels are padded to a multiple of this: 27 at x3 become 28.
_MULTIPLE = 4


class ETDS(Backbone):
    """Convolutions with activations and a 1x1 convolution that clips the image, without skips or interpolation.

    This is the deployed form. `+reparam(kind=etds)` trains it as two streams, features and image, where the features
    do not enter the image stream before the last layer.

    The last 3x3 convolution computes one minus the image, and the fixed 1x1 convolution after it inverts it again; a
    ReLU after each clips at 1 and at 0. In training, the image is not clipped, so that there is a gradient outside
    0..1.

    Source: Chao et al., "Equivalent Transformation and Dual Stream Network Construction for Mobile Image
    Super-Resolution", CVPR 2023.

    Args:
        scales: One of the scales 2, 3, 4.
        num_conv: Number of convolutions between the first and the last.
        num_feat: Feature channels, including those that carry the image.
        slopes: Whether the activations before the last layer are PReLUs instead of ReLUs.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_conv: int, num_feat: int, slopes: bool = False) -> None:
        scale = single_scale("ETDS", scales)
        super().__init__(scales)
        self.num_out = 3 * scale**2
        padded = -(-self.num_out // _MULTIPLE) * _MULTIPLE
        self.entry = activated_conv(3, num_feat, slopes)
        self.body = nn.Sequential(*(activated_conv(num_feat, num_feat, slopes) for _ in range(num_conv)))
        self.exit = nn.Conv2d(num_feat, padded, 3, padding=1)
        self.clip = nn.Conv2d(padded, padded, 1).requires_grad_(False)
        with torch.no_grad():
            self.exit.weight[self.num_out :] = 0
            # The output starts near 0, not near 1.
            self.exit.bias.add_(1)  # type: ignore[union-attr]  # it has one
            self.clip.weight.copy_(-torch.eye(padded)[:, :, None, None])
            nn.init.ones_(self.clip.bias)  # type: ignore[arg-type]  # it has one
        self.shuffle = nn.PixelShuffle(scale)
        self.slopes = slopes
        self.architecture = Architecture(depth=num_conv + 2, filters=num_feat)
        self.receptive_field = num_conv + 2

    def sharing_sites(self) -> list[SharingSite]:
        """Return the body's convolutions, in one bank and one tie class, and the first and last ones, in no bank."""
        body = [
            SharingSite(
                f"body.{n}.conv",
                kind="conv",
                bank="body",
                tie="conv",
                step=(n,),
                companions=(f"body.{n}.act",) if self.slopes else (),
            )
            for n in range(len(self.body))
        ]
        ends = ("entry.conv", "exit", "clip")
        first, *last = (SharingSite(path, kind="conv", bank=None, tie=path) for path in ends)
        return [first, *body, *last]

    def expected_failures(self) -> Mapping[str, str]:
        """Return why the last layer's output shape differs: the two streams leave out its padding channels."""
        if getattr(self.method, "kind", None) != "etds" or self.num_out % _MULTIPLE == 0:
            return {}
        return {"replacement_shapes": "in training, the last layer leaves out the channels that only pad its output"}

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        inverse = self.exit(self.body(self.entry(lr)))
        image = 1 - inverse if self.training else F.relu(self.clip(F.relu(inverse)))
        return self.shuffle(image[:, : self.num_out])  # type: ignore[no-any-return]


@register_backbone
def etds_t(scales: tuple[int, ...]) -> ETDS:
    """Build ETDS-T: 5 convolutions of 16 features (13,944 / 16,920 / 21,360 parameters at x2 / x3 / x4)."""
    return ETDS(scales, num_conv=5, num_feat=16)


@register_backbone
def etds_s(scales: tuple[int, ...]) -> ETDS:
    """Build ETDS-S: 4 convolutions of 32 features (41,512 / 46,792 / 54,112 parameters at x2 / x3 / x4)."""
    return ETDS(scales, num_conv=4, num_feat=32)


@register_backbone
def etds_m(scales: tuple[int, ...]) -> ETDS:
    """Build ETDS-M: 6 convolutions of 32 features (60,008 / 65,288 / 72,608 parameters at x2 / x3 / x4)."""
    return ETDS(scales, num_conv=6, num_feat=32)


@register_backbone
def etds_l(scales: tuple[int, ...]) -> ETDS:
    """Build ETDS-L: 7 convolutions of 48 features (152,184 / 159,768 / 169,968 parameters at x2 / x3 / x4)."""
    return ETDS(scales, num_conv=7, num_feat=48)


@register_backbone
def ecbsr_et_m6c40(scales: tuple[int, ...]) -> ETDS:
    """Build ECBSR-M6C40 without its skip, with four more channels for the image (127,756 parameters at x4)."""
    return ETDS(scales, num_conv=6, num_feat=44, slopes=True)
