"""Convolutions whose kernel a hypernetwork makes from latents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from srbench.plugin import GeneratedConv, pruned_conv, trace_feeds
from srbench_pruning.latents import Latents

if TYPE_CHECKING:
    from srbench.plugin import Backbone, Feed, SharingSite

__all__ = ["DHPConv", "connect", "latents_of"]


class DHPConv(GeneratedConv):
    """A convolution whose kernel is made of a latent for each input and each output channel.

    The latent matrix is `Z = z_out z_in^T + B0`; each of its elements becomes `embedding` numbers, `E = Z w1 + b1`, and
    these the weights of one pair of channels, `K = w2 E + b2`. Pruned channels have zeros.

    Attributes:
        feed: Its channels in the network; None before they are traced.
        inputs: Number of the latent of each input channel.
        outputs: Number of the latent of each output channel.

    Source:
        Li et al., ECCV 2020: the hypernetwork's latent, embedding and explicit layers.
    """

    inputs: Tensor
    outputs: Tensor

    def __init__(
        self, site: SharingSite, layer: nn.Conv2d, shared: nn.Module | None, scales: tuple[int, ...], embedding: int
    ) -> None:
        super().__init__(site, layer, shared, scales)
        zeros, pair, area = layer.weight.detach().new_zeros, tuple(layer.weight.shape[:2]), math.prod(self.kernel_size)
        # The kernel has the variance that the layer's own had: the paper's Hyperfan-in rule, for any initialisation.
        bound = math.sqrt(3 / embedding) * float(layer.weight.detach().std(correction=0))
        self.bias0 = nn.Parameter(zeros(pair))
        self.weight1 = nn.Parameter(zeros(*pair, embedding).uniform_(-math.sqrt(3), math.sqrt(3)))
        self.bias1 = nn.Parameter(zeros(*pair, embedding))
        self.weight2 = nn.Parameter(zeros(*pair, area, embedding).uniform_(-bound, bound))
        self.bias2 = nn.Parameter(zeros(*pair, area))
        self.feed: Feed | None = None

    @property
    def latents(self) -> Latents:
        """The latents of the network."""
        return cast(Latents, self.bank)

    def connect(self, feed: Feed) -> None:
        """Set the latents that the layer uses."""
        self.feed = feed
        for name, numbers in (("inputs", feed.inputs), ("outputs", feed.outputs)):
            self.register_buffer(name, torch.tensor(numbers, device=self.weight1.device), persistent=False)

    def kernel(self) -> Tensor:
        """Return the kernel `(out, in / groups, k, k)`."""
        if self.feed is None:  # while the network is traced
            return self.weight2.new_zeros(self.kernel_shape)
        values, alive = self.latents.values, self.latents.alive
        latent_matrix = values[self.outputs, None] * self._by_output(values) + self.bias0
        embedded = latent_matrix[..., None] * self.weight1 + self.bias1
        made = (self.weight2 @ embedded[..., None]).squeeze(-1) + self.bias2
        left = alive[self.outputs, None] & self._by_output(alive)
        return (made * left[..., None]).reshape(self.kernel_shape)

    def _by_output(self, numbers: Tensor) -> Tensor:
        """Return the values of the inputs of each output channel: `(1, in)`, or `(out, in / groups)`."""
        repeats = 1 if self.groups == 1 else self.out_channels // self.groups
        return numbers[self.inputs].view(self.groups, -1).repeat_interleave(repeats, dim=0)

    def kernel_macs(self) -> int:
        """Return the multiply-accumulates of the last layer of the hypernetwork."""
        return self.weight2.numel()

    def active_bias(self) -> Tensor | None:
        """Return the bias, 0 for pruned channels."""
        bias = super().active_bias()
        return bias if bias is None or self.feed is None else bias * self.latents.alive[self.outputs]

    @torch.no_grad()
    def pruned(self) -> nn.Module:
        """Return a convolution without the pruned channels."""
        if self.feed is None:  # it is not executed
            return self.folded()
        inputs, outputs = self.latents.alive[self.inputs], self.latents.alive[self.outputs]
        return pruned_conv(self.options, self.kernel(), self.active_bias(), self.feed, inputs, outputs)


def latents_of(model: nn.Module) -> Latents:
    """Return the latents of a network."""
    return next(module for module in model.modules() if isinstance(module, Latents))


def connect(model: Backbone) -> None:
    """Trace the channels of a network's layers, and create their latents."""
    layers: dict[str, Any] = {path: layer for path, layer in model.named_modules() if isinstance(layer, DHPConv)}
    feeds = trace_feeds(model, list(layers))
    for path, feed in feeds.items():
        layers[path].connect(feed)
    used = [layers[path] for path in feeds]
    weights = [math.prod(layer.kernel_shape) if layer.groups == 1 else 0 for layer in used]
    latents_of(model).fill(list(feeds.values()), weights, used[0].weight1)
