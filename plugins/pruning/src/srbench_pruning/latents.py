"""The latents of all layers of a network: one for each group of channels that are pruned together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from srbench.plugin import Feed

__all__ = ["Latents"]


class Latents(nn.Module):
    """A latent for each group of channels, and which groups are left.

    Attributes:
        values: The latents `(G,)`.
        alive: Which groups are not pruned `(G,)`.
        prunable: Which can be: those that one of the layers makes and one of them reads.
        made: How many channels of each group each layer makes `(L, G)`.
        read: How many it reads.
        weights: Weights of each layer, 0 where they stay whatever is pruned `(L,)`.
        bundles: The prunable groups of each layer's inputs and outputs, each set once `(B, G)`.
    """

    values: nn.Parameter
    alive: Tensor
    prunable: Tensor
    made: Tensor
    read: Tensor
    weights: Tensor
    bundles: Tensor

    def fill(self, feeds: Sequence[Feed], weights: Sequence[int], like: Tensor) -> None:
        """Make latents from a standard normal distribution; none is pruned.

        Args:
            feeds: The groups that each layer reads and makes.
            weights: Weights of each layer, 0 where they stay whatever is pruned.
            like: Gives device and dtype.
        """
        count = 1 + max(number for feed in feeds for number in (*feed.inputs, *feed.outputs))
        made = torch.stack([torch.bincount(torch.tensor(feed.outputs), minlength=count) for feed in feeds])
        read = torch.stack([torch.bincount(torch.tensor(feed.inputs), minlength=count) for feed in feeds])
        prunable = made.any(0) & read.any(0)
        self.values = nn.Parameter(torch.randn(count).to(like))
        self.register_buffer("alive", torch.ones(count, dtype=torch.bool, device=like.device))
        # What the architecture decides is not saved.
        for name, tensor in (
            ("prunable", prunable),
            ("made", made),
            ("read", read),
            ("weights", torch.tensor(weights)),
            ("bundles", torch.unique((torch.cat([made, read]) > 0) & prunable, dim=0)),
        ):
            self.register_buffer(name, tensor.to(like.device), persistent=False)

    def share(self) -> Tensor:
        """Return the share of the layers' weights that is left, a tensor of one number."""
        left = self._alive_share(self.made) * self._alive_share(self.read) * self.weights
        return left.sum() / self.weights.sum()

    def _alive_share(self, channels: Tensor) -> Tensor:
        counts = channels.to(torch.float64)
        return (counts @ self.alive.to(torch.float64)) / counts.sum(1)

    @torch.no_grad()
    def soft_threshold(self, step: float, threshold: float, ratio: float, least: int) -> None:
        """Move latents towards 0 by a step: the proximal operator of their l1 norm.

        Latents of a layer that has only the least channels above the threshold stay, and all where few enough weights
        are left. Nothing is read back from the device.
        """
        sizes = self.values.abs() * self.alive
        held = (self.bundles & (sizes >= threshold)).sum(1, keepdim=True) <= least
        shrinking = self.prunable & ~(self.bundles & held).any(0) & (self.share() > ratio)
        self.values.copy_(
            torch.where(shrinking, (self.values.abs() - step).clamp(min=0) * self.values.sign(), self.values)
        )

    @torch.no_grad()
    def prune(self, threshold: float, ratio: float, least: int) -> None:
        """Prune the groups below the threshold, but for the largest of each layer, while too many weights are left."""
        sizes = self.values.abs() * self.alive
        ranked = torch.where(self.bundles, torch.where(self.alive, sizes, -0.5), -1.0)
        largest = ranked.topk(min(least, ranked.shape[1]), dim=1).indices
        kept = (torch.zeros_like(self.bundles).scatter(1, largest, True) & self.bundles).any(0)
        below = self.prunable & (sizes < threshold) & ~kept
        self.alive.copy_(self.alive & ~(below & (self.share() > ratio)))
