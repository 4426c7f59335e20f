"""DRCN (Kim et al., CVPR 2016): one convolution applied sixteen times, with a prediction after each application."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, ConfigError, LumaBackbone, SharingSite, matlab_bicubic, register_backbone, tie
from srbench_zoo.parts import bicubic_reach, initialise_he

__all__ = ["DRCN", "drcn"]


class Recursion(nn.Module):
    """One application of the recursive convolution and of the two reconstruction layers after it.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.reconstruct1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.reconstruct2 = nn.Conv2d(num_feat, 1, 3, padding=1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(N, C, H, W)` and the detail `(N, 1, H, W)` reconstructed from them."""
        features = F.relu(self.conv(features))
        return features, self.reconstruct2(F.relu(self.reconstruct1(features)))


class DRCN(LumaBackbone):
    """Recursions of one convolution on the enlarged luma; the output is a weighted sum of each recursion's prediction.

    Training compares every prediction with the target (recursive supervision): the loss is `a` times the mean loss of
    the predictions plus `1 - a` times the loss of the output, where `a` falls linearly from 1 to 0 over the training.
    (The paper says that `a` starts high and decays, but not how.)

    Source: Kim, Lee and Lee, "Deeply-Recursive Convolutional Network for Image Super-Resolution", CVPR 2016.

    Args:
        scales: Any scales of at least 2; the authors train one network per scale.
        num_recursion: Applications of the recursive convolution.
        num_feat: Feature channels.

    Raises:
        ConfigError: A scale below 2, or no recursion.
    """

    def __init__(self, scales: tuple[int, ...], num_recursion: int = 16, num_feat: int = 256) -> None:
        if any(scale < 2 for scale in scales) or num_recursion < 1:
            raise ConfigError(
                f"DRCN enlarges by 2 or more and recurs once or more; got scale {', '.join(map(str, scales))} and "
                f"num_recursion={num_recursion}"
            )
        super().__init__(scales)
        self.entry = nn.Conv2d(1, num_feat, 3, padding=1)
        self.embed = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.recursions = nn.ModuleList(Recursion(num_feat) for _ in range(num_recursion))
        initialise_he(self)
        self.ensemble = nn.Parameter(torch.full((num_recursion,), 1 / num_recursion))
        self.supervision = 0.5
        self.architecture = Architecture(depth=num_recursion + 4, filters=num_feat, upsampling="pre", global_skip=True)
        tie(self, self.sharing_sites())

    @property
    def receptive_field(self) -> int:  # type: ignore[override]  # it depends on the scales
        """LR pixels on each side that an output pixel depends on, at the smallest scale."""
        return bicubic_reach(len(self.recursions) + 4, min(self.scales))

    def sharing_sites(self) -> list[SharingSite]:
        """Return the applications of the recursive convolution, in one bank, and of the reconstruction layers."""
        return [
            SharingSite(
                f"recursions.{number}.{layer}",
                kind="conv",
                bank="recursions" if layer == "conv" else None,
                tie=layer,
                step=(number,),
            )
            for number in range(len(self.recursions))
            for layer in ("conv", "reconstruct1", "reconstruct2")
        ]

    def on_step(self, iteration: int, total: int) -> None:
        """Decay the weight of the predictions in the loss from 1 to 0."""
        super().on_step(iteration, total)
        self.supervision = 1 - (iteration - 1) / max(total - 1, 1)

    def luma(self, luma: Tensor, scale: int) -> tuple[Tensor, ...]:
        """Return the prediction of each recursion, then the SR luma, each `(N, 1, s*h, s*w)`."""
        enlarged = matlab_bicubic(luma, scale)
        features = F.relu(self.embed(F.relu(self.entry(enlarged))))
        predictions = []
        for recursion in self.recursions:
            features, detail = recursion(features)
            predictions.append(detail + enlarged)
        weighted = torch.cat(predictions, 1) * self.ensemble.view(1, -1, 1, 1)
        return (*predictions, weighted.sum(1, keepdim=True))

    def luma_weights(self, outputs: tuple[Tensor, ...]) -> tuple[float, ...]:
        """Return the loss weights of the predictions, then of the SR image."""
        number = len(outputs) - 1
        return (*(self.supervision / number for _ in range(number)), 1 - self.supervision)


@register_backbone
def drcn(scales: tuple[int, ...]) -> DRCN:
    """Build DRCN: 16 recursions, 20 layers deep, of 256 features (1,775,121 parameters, at every scale)."""
    return DRCN(scales)
