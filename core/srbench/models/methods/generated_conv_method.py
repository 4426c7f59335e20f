"""The base class of methods whose layers make their kernels. Torch is imported only inside functions."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from srbench.errors import SharingError
from srbench.models.methods.sharing_method import SharingMethod, SiteGroup

if TYPE_CHECKING:
    from torch import Tensor, nn

    from srbench.models.generated_conv import GeneratedConv
    from srbench.models.sites import SharingSite

    Conv = nn.Conv2d | nn.ConvTranspose2d

__all__ = ["GeneratedConvMethod"]


class GeneratedConvMethod(SharingMethod):
    """Replace convolutions by layers that make their kernel, from a bank and from parameters of their own.

    A subclass overrides `layer`, and `bank` where layers share something. Biases, options, scales, folding and ties
    need nothing more.
    """

    def part(self, site: SharingSite, layer: Conv) -> Hashable:
        """Return a value that is equal for the layers of a group that share a bank (default: all of them do).

        It sees shapes: `tuple(layer.weight.shape)` splits a group of mixed shapes into one bank for each shape.
        """
        return None

    def bank(self, layers: Mapping[str, Any], scales: tuple[int, ...]) -> nn.Module | None:
        """Make what the layers of a part share (default: nothing).

        A method that needs several modules returns an `nn.ModuleDict` of them.

        Args:
            layers: Path -> the convolution there now.
            scales: The network's scales.

        Raises:
            SharingError: The layers cannot share this way.
        """
        return None

    def layer(self, site: SharingSite, layer: Any, shared: nn.Module | None, scales: tuple[int, ...]) -> GeneratedConv:
        """Make the layer that takes a convolution's place: `MyConv(site, layer, shared, scales)`."""
        raise NotImplementedError(f"{type(self).__name__} must override layer")

    def bias_policy(self, site: SharingSite) -> str:
        """Return which bias the layer at a site keeps (default: what the site declares)."""
        return site.bias

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module | None:
        """Make the banks of a group's parts, and the biases of its tie classes.

        Raises:
            SharingError: A site holds no plain convolution, or the layers cannot share.
        """
        from srbench.models.generated_conv import SharedBanks

        convolutions = self.convolutions(group, modules)
        members: dict[Hashable, dict[str, nn.Module]] = {}
        for site in group.sites:
            layer = convolutions[site.path]
            members.setdefault(self.part(site, layer), {})[site.path] = layer
        banks: list[nn.Module] = []
        parts: dict[str, int] = {}
        for layers in members.values():
            bank = self.bank(layers, scales)
            if bank is not None:
                parts.update(dict.fromkeys(layers, len(banks)))
                banks.append(bank)
        biases = self.tied_biases(group, convolutions)
        return SharedBanks(banks, parts, biases) if banks or biases else None

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        """Return the layer that makes its kernel.

        Raises:
            SharingError: The site holds no plain convolution.
        """
        return self.layer(site, self._convolution(site, module), shared, scales)

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        """Return the plain convolution with the kernel that the layer makes."""
        from srbench.models.generated_conv import GeneratedConv

        return module.folded() if isinstance(module, GeneratedConv) else None

    def convolutions(self, group: SiteGroup, modules: Mapping[str, nn.Module]) -> dict[str, Conv]:
        """Return a group's layers, path -> convolution.

        Raises:
            SharingError: A site holds no plain convolution.
        """
        return {site.path: self._convolution(site, modules[site.path]) for site in group.sites}

    def tied_biases(self, group: SiteGroup, layers: Mapping[str, Conv]) -> dict[str, Tensor]:
        """Return the mean bias of each tie class whose layers keep a tied one."""
        import torch

        tied: dict[str, list[Tensor]] = {}
        for site in group.sites:
            bias = layers[site.path].bias
            if self.bias_policy(site) == "tied" and bias is not None:
                tied.setdefault(site.tie, []).append(bias.detach())
        return {tie: torch.stack(biases).mean(0) for tie, biases in tied.items()}

    def _convolution(self, site: SharingSite, module: nn.Module) -> Conv:
        from torch import nn

        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            raise SharingError(
                f"method '{type(self).__name__.lower()}' needs a plain convolution at '{site.path}' and found "
                f"{type(module).__name__}"
            )
        return module
