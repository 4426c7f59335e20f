"""Common parts of LapSRN and MS-LapSRN: levels that upsample luma by 2 and add a predicted residual."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor, nn

from srbench.plugin import Architecture, ConfigError, LumaBackbone, matlab_bicubic

__all__ = ["LEAK", "LaplacianPyramid", "UpConv", "enlarging_filter", "initialise"]

LEAK = 0.2


class UpConv(nn.Module):
    """A transposed convolution of stride 2 whose last row and column are cut off: exactly twice the size.

    No padding of torch's layer does that: `padding=1, output_padding=1` crops the first row and column instead.

    Args:
        num_feat: Features.
        num_out: Features that it makes; as many where it is not given.
    """

    def __init__(self, num_feat: int, num_out: int | None = None) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(num_feat, num_feat if num_out is None else num_out, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, 2h, 2w)` of `(N, C, h, w)`."""
        enlarged: Tensor = self.conv(x)
        return enlarged[..., : 2 * x.shape[-2], : 2 * x.shape[-1]]


def enlarging_filter() -> nn.ConvTranspose2d:
    """Make the learned 4x4 filter that enlarges an image by 2; bilinear interpolation at first."""
    layer = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.copy_(torch.outer(taps, taps))
    return layer


class LaplacianPyramid(LumaBackbone):
    """A network that enlarges luma by 2 in each level and returns every level's image.

    The loss is the sum of the criterion over all pixels of all levels (paper: Lai et al., CVPR 2017, Eq. 2; with
    `loss: CharbonnierLoss`), each level compared with the HR image made smaller by Matlab's bicubic.

    Args:
        scales: Any of 2, 4, 8.
        num_conv: Convolutions on the way through a level.
        num_feat: Features.

    Attributes:
        for_all_scales: Whether its authors train one network for all scales.

    Raises:
        ConfigError: Another scale.
    """

    for_all_scales: bool = False

    def __init__(self, scales: tuple[int, ...], num_conv: int, num_feat: int) -> None:
        if any(scale not in (2, 4, 8) for scale in scales):
            raise ConfigError(
                f"a Laplacian network enlarges by 2 in each of its levels: to scale 2, 4 or 8; got scale "
                f"{', '.join(map(str, scales))}"
            )
        super().__init__(scales)
        self.num_conv, self.num_feat = num_conv, num_feat
        self._describe()

    def _describe(self) -> None:
        """Say what follows from the number of levels."""
        num_level = self.num_level
        # In the pixels of a level's input: its convolutions and the up-convolution; at the end one that predicts.
        reach = sum(Fraction(self.num_conv + 1, 2**level) for level in range(num_level)) + Fraction(1, 2**num_level)
        self.receptive_field = 1 + math.ceil(reach)
        self.architecture = Architecture(
            depth=2 + num_level * (self.num_conv + 1),
            filters=self.num_feat,
            reconstruction="progressive",
            multi_scale=self.for_all_scales,
            global_skip=True,
            local_skips=self.has_local_skips,
        )

    @property
    def num_level(self) -> int:
        """How many levels the largest scale takes."""
        return max(self.scales).bit_length() - 1

    @property
    def has_local_skips(self) -> bool:
        """Whether there are skip connections within a level."""
        return False

    def luma_targets(self, luma: Tensor, scale: int) -> tuple[Tensor, ...]:
        """Return the HR luma at the size of each level."""
        sizes = [2 ** (level + 1) for level in range(scale.bit_length() - 1)]
        return tuple(luma if size == scale else matlab_bicubic(luma, Fraction(size, scale)) for size in sizes)


def initialise(model: LaplacianPyramid, entry: nn.Conv2d) -> None:
    """Initialise as the authors do: He-normal kernels, biases of 0, and nearly nothing at the entry.

    So the network begins as bilinear interpolation, and learns at once instead of unlearning its random features first.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
            # The authors count the inputs of a transposed convolution like those of a convolution.
            deviation = math.sqrt(2 / (module.in_channels * module.kernel_size[0] * module.kernel_size[1]))
            nn.init.normal_(module.weight, std=deviation)
            nn.init.zeros_(module.bias)
    nn.init.normal_(entry.weight, std=0.001)
