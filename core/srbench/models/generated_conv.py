"""Convolutions whose kernel is made in each forward pass, from parameters of their own and shared ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from srbench.errors import SharingError
from srbench.models.plain_conv import ConvOptions
from srbench.models.shared_modules import MultiScaleModule
from srbench.models.sites import BIAS_POLICIES, SharingSite

__all__ = ["GeneratedConv", "SharedBanks", "SharedBias"]

Conv = nn.Conv2d | nn.ConvTranspose2d


class SharedBias(nn.Module):
    """A bias that several layers add."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.detach().clone())


class SharedBanks(nn.Module):
    """What the layers of a group share: a bank for each part of the group, and the biases of tie classes.

    Args:
        banks: The bank of each part, in order.
        parts: Path of a site -> the number of its part.
        biases: Tie class -> bias.
    """

    def __init__(self, banks: Sequence[nn.Module], parts: Mapping[str, int], biases: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.banks = nn.ModuleList(banks)
        self.parts = dict(parts)
        self.biases = nn.ModuleDict({_key(tie): SharedBias(bias) for tie, bias in biases.items()})

    def bank_of(self, path: str) -> nn.Module | None:
        """Return the bank of the layer at a path; None where its part shares no weights."""
        return self.banks[self.parts[path]] if path in self.parts else None

    def bias_of(self, tie: str) -> SharedBias | None:
        """Return the bias that a tie class shares; None where it shares none."""
        return cast(SharedBias | None, dict(self.biases.items()).get(_key(tie)))


class GeneratedConv(MultiScaleModule):
    """A (transposed) convolution whose kernel is made in each forward pass; a subclass overrides `kernel`.

    Bias, stride, padding, dilation and groups are those of the layer that it replaces. Parameters of each scale are
    made by `per_scale` and read by `active`.

    Args:
        site: Where it is.
        layer: The layer that it replaces.
        shared: What `build` of the method returned: `SharedBanks`, another module, or None.
        scales: The scales at which the layer is used.
        bias: Which bias it keeps if the layer has one, one of `BIAS_POLICIES`; what the site declares where not given.

    Attributes:
        path: The site's path.
        in_channels: Of the layer replaced.
        out_channels: Of the layer replaced.
        kernel_size: Height and width of the kernel in pixels.
        groups: Of the layer replaced.
        transposed: Whether it is a transposed convolution.
        kernel_shape: Shape of the weight as torch's layer of this kind has it.
        options: Stride, padding, dilation and the rest.

    Raises:
        SharingError: The layer pads with something other than zeros, or the bias policy is unknown.
    """

    def __init__(
        self,
        site: SharingSite,
        layer: Conv,
        shared: nn.Module | None,
        scales: tuple[int, ...],
        *,
        bias: str | None = None,
    ) -> None:
        super().__init__(shared, scales)
        self.path = site.path
        self.options = ConvOptions.of(layer, site.path)
        self.in_channels, self.out_channels = self.options.in_channels, self.options.out_channels
        self.kernel_size, self.groups = self.options.kernel_size, self.options.groups
        self.transposed = self.options.transposed
        self.kernel_shape = tuple(layer.weight.shape)
        policy = "none" if layer.bias is None else site.bias if bias is None else bias
        if policy not in BIAS_POLICIES:
            raise SharingError(f"bias={policy} is not one of {', '.join(BIAS_POLICIES)}")
        self._tied_bias: tuple[SharedBias, ...] = ()
        if policy == "tied":
            tied = shared.bias_of(site.tie) if isinstance(shared, SharedBanks) else None
            if tied is None:
                raise SharingError(
                    f"the bias of '{site.path}' is tied with others, and what the method's `build` returned holds no "
                    "bias for them; derive the method from GeneratedConvMethod, or return SharedBanks"
                )
            self._tied_bias = (tied,)
        start = None if layer.bias is None else layer.bias.detach()
        self.bias = nn.Parameter(start.clone()) if policy == "own" and start is not None else None
        self.biases = nn.ParameterDict()
        if policy == "per_scale" and start is not None:
            self.biases = self.per_scale(start)

    @property
    def bank(self) -> nn.Module | None:
        """The bank that the layer uses."""
        shared = self.shared_module
        return shared.bank_of(self.path) if isinstance(shared, SharedBanks) else shared

    def kernel(self) -> Tensor:
        """Return the weight for the active scale, of shape `kernel_shape`, from parameters and buffers only."""
        raise NotImplementedError(f"{type(self).__name__} must override kernel")

    def kernel_macs(self) -> int | None:
        """Return the multiply-accumulates that make the kernel once, to be compared with those that are found.

        Default: None, nothing is declared; `srbench cost` counts them either way.
        """
        return None

    def per_scale(self, start: Tensor) -> nn.ParameterDict:
        """Return a parameter for each scale, all with the same initial value."""
        return nn.ParameterDict({f"x{scale}": nn.Parameter(start.detach().clone()) for scale in self.scales})

    def active(self, parameters: nn.ParameterDict) -> Tensor:
        """Return the active scale's parameter among those of `per_scale`."""
        return cast(Tensor, parameters[f"x{self.active_scale}"])

    def active_bias(self) -> Tensor | None:
        """Return the bias that the layer adds at the active scale, or None."""
        if self._tied_bias:
            return self._tied_bias[0].bias
        return self.active(self.biases) if len(self.biases) else self.bias

    def own_biases(self) -> list[nn.Parameter]:
        """Return the biases that only this layer uses: none, one, or one for each scale."""
        return [*self.biases.values(), *([] if self.bias is None else [self.bias])]

    def forward(self, x: Tensor) -> Tensor:
        """Convolve features `(N, in_channels, h, w)` with the active scale's kernel."""
        return self.options.apply(x, self.kernel(), self.active_bias())

    def keep_scale(self, scale: int) -> None:
        """Forget the parameters of `per_scale` of all scales but one."""
        if scale not in self.scales:
            return
        for name, child in list(self.named_children()):
            if isinstance(child, nn.ParameterDict) and f"x{scale}" in child:
                setattr(self, name, nn.ParameterDict({f"x{scale}": child[f"x{scale}"]}))
        self.scales, self.active_scale = (scale,), scale

    @torch.no_grad()
    def folded(self) -> Conv:
        """Return the plain layer that computes the same at the active scale, on the same device, in the same dtype."""
        return self.options.plain(self.kernel(), self.active_bias())

    def extra_repr(self) -> str:
        """Describe the layer for `print(model)`."""
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        return f"{sizes}, stride={self.options.stride}, scales={self.scales}"


def _key(tie: str) -> str:
    return tie.replace(".", "_")
