"""The latents of a network: one for each group of channels that are pruned together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from srbench.plugin import Feed

__all__ = ["Latents"]


class Latents(nn.Module):
    """A latent for each group of channels, and a mask of the groups that remain.

    Attributes:
        values: The latents `(G,)`.
        alive: Mask of the groups that are not pruned `(G,)`.
        prunable: Mask of the groups that can be pruned: one of the layers produces them, and one reads them.
        made: Number of output channels of each layer in each group `(L, G)`.
        read: Number of input channels of each layer in each group `(L, G)`.
        weights: Number of weights of each layer `(L,)`; 0 for layers that keep theirs.
        bundles: Masks of the prunable groups of each layer's inputs and outputs, without duplicates `(B, G)`.
    """

    values: nn.Parameter
    alive: Tensor
    prunable: Tensor
    made: Tensor
    read: Tensor
    weights: Tensor
    bundles: Tensor

    def fill(self, feeds: Sequence[Feed], weights: Sequence[int], like: Tensor) -> None:
        """Draw latents from a standard normal distribution; none is pruned.

        Args:
            feeds: The channels of each layer.
            weights: Number of weights of each layer; 0 for layers that keep theirs.
            like: A tensor of the device and dtype to use.
        """
        count = 1 + max(number for feed in feeds for number in (*feed.inputs, *feed.outputs))
        made = torch.stack([torch.bincount(torch.tensor(feed.outputs), minlength=count) for feed in feeds])
        read = torch.stack([torch.bincount(torch.tensor(feed.inputs), minlength=count) for feed in feeds])
        prunable = made.any(0) & read.any(0)
        self.values = nn.Parameter(torch.randn(count).to(like))
        self.register_buffer("alive", torch.ones(count, dtype=torch.bool, device=like.device))
        # Derived from the architecture, so not saved.
        for name, tensor in (
            ("prunable", prunable),
            ("made", made),
            ("read", read),
            ("weights", torch.tensor(weights)),
            ("bundles", torch.unique((torch.cat([made, read]) > 0) & prunable, dim=0)),
        ):
            self.register_buffer(name, tensor.to(like.device), persistent=False)

    def share(self) -> Tensor:
        """Return the share of the layers' weights that remains, as a tensor of one number."""
        left = self._alive_share(self.made) * self._alive_share(self.read) * self.weights
        return left.sum() / self.weights.sum()

    def _alive_share(self, channels: Tensor) -> Tensor:
        counts = channels.to(torch.float64)
        return (counts @ self.alive.to(torch.float64)) / counts.sum(1)

    @torch.no_grad()
    def soft_threshold(self, step: float, threshold: float, ratio: float, least: int) -> None:
        """Move latents towards 0 by a step, the proximal operator of their l1 norm.

        Latents of a layer that has no more than its least channels above the threshold are kept, and all latents once
        the ratio is reached. Nothing is copied from the device.
        """
        sizes = self.values.abs() * self.alive
        held = (self.bundles & (sizes >= threshold)).sum(1, keepdim=True) <= least
        shrinking = self.prunable & ~(self.bundles & held).any(0) & (self.share() > ratio)
        self.values.copy_(
            torch.where(shrinking, (self.values.abs() - step).clamp(min=0) * self.values.sign(), self.values)
        )

    @torch.no_grad()
    def prune(self, threshold: float, ratio: float, least: int) -> None:
        """Prune the groups below the threshold, except the largest of each layer, until the ratio is reached."""
        sizes = self.values.abs() * self.alive
        ranked = torch.where(self.bundles, torch.where(self.alive, sizes, -0.5), -1.0)
        largest = ranked.topk(min(least, ranked.shape[1]), dim=1).indices
        kept = (torch.zeros_like(self.bundles).scatter(1, largest, True) & self.bundles).any(0)
        below = self.prunable & (sizes < threshold) & ~kept
        self.alive.copy_(self.alive & ~(below & (self.share() > ratio)))
