"""Kind `etds`: equivalent transformation of a dual-stream network (Chao et al., CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srbench.plugin import SharingSite
from srbench_zoo.reparam.branches import BranchedConv, Merged, identity_kernel, is_same_size

__all__ = ["DualStreamConv", "DualStreamEntry", "DualStreamExit", "Inversion", "branched"]

# Number of channels of the image stream, the last ones.
_IMAGE = 3


def branched(layer: nn.Conv2d, site: SharingSite) -> BranchedConv | None:
    """Return the convolutions of the two streams that replace a 3x3 convolution.

    A layer outside banks is an end of the network: where the streams begin if it has 3 input channels, where they are
    joined if it has more. A frozen 1x1 convolution, with which a deployed network clips the image, is replaced by a
    subtraction.
    """
    if is_same_size(layer, 1) and layer.in_channels == layer.out_channels and not layer.weight.requires_grad:
        return Inversion(layer)
    if not is_same_size(layer, 3) or layer.groups != 1:
        return None
    if site.bank is None and layer.in_channels > _IMAGE:
        return DualStreamExit(layer)
    if layer.out_channels <= _IMAGE:
        return None
    if layer.in_channels == _IMAGE:
        return DualStreamEntry(layer)
    return DualStreamConv(layer) if layer.in_channels > _IMAGE else None


class DualStreamConv(BranchedConv):
    """Compute features from features and image, and the image from the image alone.

    The equivalent convolution has a kernel that is zero from the features to the image.

    Args:
        layer: The convolution to replace. The branches to the features are initialised with parts of its weights, the
            branch from image to image as the identity.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        bias, features_in, features_out = layer.bias is not None, self.num_in - _IMAGE, self.num_out - _IMAGE
        self.split = features_in
        self.features = _part(layer, slice(0, features_out), slice(0, features_in))
        self.image_to_features = _part(layer, slice(0, features_out), slice(features_in, None), bias=False)
        self.image = _unchanged(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return both streams, `(N, out, H, W)`."""
        features, image = x.tensor_split([self.split], dim=1)
        return torch.cat([self.features(features) + self.image_to_features(image), self.image(image)], 1)

    def kernel_and_bias(self) -> Merged:
        """Return the kernel, composed of four blocks, one of them zero."""
        image = torch.cat([self.image.weight.new_zeros(_IMAGE, self.split, 3, 3), self.image.weight], 1)
        features = torch.cat([self.features.weight, self.image_to_features.weight], 1)
        kernel = torch.cat([features, image])
        if self.features.bias is None or self.image_to_features.bias is None or self.image.bias is None:
            return kernel, None
        return kernel, torch.cat([self.features.bias + self.image_to_features.bias, self.image.bias])


class DualStreamEntry(BranchedConv):
    """The first layer: compute features from the image and pass the image on.

    Args:
        layer: The convolution to replace; the first branch is initialised with a part of its weights.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.features = _part(layer, slice(0, self.num_out - _IMAGE), slice(None))
        self.image = _unchanged(layer.bias is not None)

    def forward(self, x: Tensor) -> Tensor:
        """Return both streams, `(N, out, H, W)`."""
        return torch.cat([self.features(x), self.image(x)], 1)

    def kernel_and_bias(self) -> Merged:
        """Return the two kernels as one."""
        kernel = torch.cat([self.features.weight, self.image.weight])
        if self.features.bias is None or self.image.bias is None:
            return kernel, None
        return kernel, torch.cat([self.features.bias, self.image.bias])


class DualStreamExit(BranchedConv):
    """The last layer: the sum of a convolution of each stream.

    Args:
        layer: The convolution to replace; the two are initialised with its weights. Trailing filters of zeros, which
            only pad the number of outputs, are left out here and restored by merging.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.split = self.num_in - _IMAGE
        used = layer.weight.detach().flatten(1).any(1).nonzero()
        self.used = int(used.max()) + 1 if len(used) else self.num_out
        self.features = _part(layer, slice(0, self.used), slice(0, self.split))
        self.image = _part(layer, slice(0, self.used), slice(self.split, None), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the two, `(N, out, H, W)`, without the padding outputs."""
        features, image = x.tensor_split([self.split], dim=1)
        return self.features(features) + self.image(image)  # type: ignore[no-any-return]

    def kernel_and_bias(self) -> Merged:
        """Return the two kernels as one."""
        kernel = torch.cat([self.features.weight, self.image.weight], 1)
        kernel = torch.cat([kernel, kernel.new_zeros(self.num_out - self.used, *kernel.shape[1:])])
        if self.features.bias is None or self.image.bias is None:
            return kernel, None
        bias = self.features.bias + self.image.bias
        return kernel, torch.cat([bias, bias.new_zeros(self.num_out - self.used)])


class Inversion(BranchedConv):
    """One minus the input; as a convolution, minus the identity with a bias of one.

    Args:
        layer: The equivalent frozen 1x1 convolution.
    """

    one: Tensor

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.register_buffer("one", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `1 - x`."""
        return 1 - x

    def kernel_and_bias(self) -> Merged:
        """Return minus the identity as kernel and ones as bias."""
        return -identity_kernel(self, 1, self.one), self.one.repeat(self.num_out)


def _part(layer: nn.Conv2d, outputs: slice, inputs: slice, bias: bool = True) -> nn.Conv2d:
    """Return a part of a convolution; its bias is that of the layer, or zero."""
    kernel = layer.weight.detach()[outputs, inputs]
    conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1, bias=layer.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(kernel)
        if conv.bias is not None and layer.bias is not None:
            conv.bias.copy_(layer.bias[outputs] * bias)
    return conv


def _unchanged(bias: bool) -> nn.Conv2d:
    """Return a convolution of the image that leaves it as it is, until it is trained."""
    conv = nn.Conv2d(_IMAGE, _IMAGE, 3, padding=1, bias=bias)
    nn.init.dirac_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
