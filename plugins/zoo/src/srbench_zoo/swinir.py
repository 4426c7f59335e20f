"""SwinIR-light (Liang et al., ICCVW 2021) based on basicsr's class."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from srbench.plugin import Architecture, Backbone, SharingSite, register_backbone
from srbench.plugin import basicsr_archs as archs
from srbench_zoo.parts import single_scale, with_mean_buffer

__all__ = ["SwinIR", "swinir_light"]


class SwinIR(archs.SwinIR, Backbone):  # type: ignore[misc]  # basicsr has no types
    """basicsr's SwinIR with a sub-pixel upsampler; images are padded by mirroring to whole windows.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, a multiple of `num_head`.
        depths: Number of transformer layers in each group.
        num_head: Number of attention heads.
        window_size: Side of the attention windows, in LR pixels.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(
        self,
        scales: tuple[int, ...],
        num_feat: int,
        depths: tuple[int, ...],
        num_head: int,
        window_size: int = 8,
    ) -> None:
        scale = single_scale("SwinIR", scales)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)  # basicsr gives no `indexing`
            archs.SwinIR.__init__(
                self,
                img_size=64,
                window_size=window_size,
                embed_dim=num_feat,
                depths=depths,
                num_heads=(num_head,) * len(depths),
                mlp_ratio=2,
                upscale=scale,
                upsampler="pixelshuffledirect",
            )
        self.scales = scales
        self.num_group = len(depths)
        self.window_size = window_size
        with_mean_buffer(self)
        for module in list(self.modules()):
            for name in ("relative_position_index", "attn_mask"):
                # Constants of the window size, which basicsr stores in files: 3.2 million values next to 0.9 million.
                if isinstance(constant := getattr(module, name, None), Tensor):
                    delattr(module, name)
                    module.register_buffer(name, constant, persistent=False)
        # A transformer layer has four layers with weights in a row; each group ends in a convolution.
        depth = 3 + 4 * sum(depths) + len(depths)
        self.architecture = Architecture(depth=depth, filters=num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions at the ends of the groups, in one bank and one tie class."""
        return [
            SharingSite(f"layers.{group}.conv", kind="conv", bank="groups", tie="conv", step=(group,))
            for group in range(self.num_group)
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        height, width = lr.shape[2:]
        whole = _mirrored(_mirrored(lr, 2, self.window_size), 3, self.window_size)
        sr: Tensor = archs.SwinIR.forward(self, whole)
        return sr[:, :, : height * scale, : width * scale]


def _mirrored(image: Tensor, axis: int, multiple: int) -> Tensor:
    """Pad the end of an axis to a multiple of a number by mirroring, with the border pixels repeated."""
    size = image.shape[axis]
    if size % multiple == 0:
        return image
    # The period of the endlessly mirrored axis is twice its length.
    index = torch.arange(size + -size % multiple, device=image.device) % (2 * size)
    return image.index_select(axis, torch.minimum(index, 2 * size - 1 - index))


@register_backbone
def swinir_light(scales: tuple[int, ...]) -> SwinIR:
    """Build SwinIR-light: 4 groups of 6 layers, 60 features (910,152 / 918,267 / 929,628 parameters, x2 / x3 / x4)."""
    return SwinIR(scales, num_feat=60, depths=(6, 6, 6, 6), num_head=6)
