"""A network and two methods that keep every law; each mutant differs from one of them in one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.models.backbone import Backbone
from srbench.models.sites import SharingSite
from srbench.plugin import GeneratedConv, GeneratedConvMethod


class Sound(Backbone):
    """A small network for several scales."""

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 3, 3, padding=1)

    def sharing_sites(self) -> list[SharingSite]:
        return [SharingSite("second", kind="conv", bank="b", tie="t")]

    def features(self, lr: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(lr))))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        scale = self.select_scale(scale)
        return self.last(F.interpolate(self.features(lr), scale_factor=scale))


class Rows(nn.Module):
    """A bank of flattened filters."""

    def __init__(self, count: int, like: nn.Conv2d) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(count, like.weight[0].numel()) / 8)


class Mixed(GeneratedConv):
    """A convolution whose filters are mixtures of the bank's rows."""

    def __init__(self, site: SharingSite, layer: nn.Conv2d, shared: nn.Module, scales: tuple[int, ...]) -> None:
        super().__init__(site, layer, shared, scales)
        self.mixture = nn.Parameter(torch.randn(self.out_channels, len(self.bank.rows)))

    def kernel(self) -> Tensor:
        return (self.mixture @ self.bank.rows).reshape(self.kernel_shape)

    def kernel_macs(self) -> int:
        return self.mixture.numel() * self.bank.rows.shape[1]


class SoundMethod(GeneratedConvMethod):
    """A method with a bank, a schedule that changes nothing, an additional loss and an identity."""

    conv: type[Mixed] = Mixed

    def bank(self, layers: Mapping[str, Any], scales: tuple[int, ...]) -> nn.Module:
        return Rows(4, next(iter(layers.values())))

    def layer(self, site: SharingSite, layer: Any, shared: nn.Module | None, scales: tuple[int, ...]) -> GeneratedConv:
        return self.conv(site, layer, shared, scales)

    def auxiliary_loss(self, model: Backbone) -> Tensor:
        return sum(module.mixture.square().sum() for module in model.modules() if isinstance(module, Mixed))

    def on_step(self, model: Backbone, iteration: int, total: int) -> None:
        self.progress = iteration / total

    def identities(self) -> dict[str, Any]:
        return {"mixtures_of_the_filters_themselves": self._filters_themselves}

    def _filters_themselves(self, backbone: str, scales: tuple[int, ...], seed: int) -> tuple[Backbone, Backbone]:
        from srbench.plugin import apply_method, create_model

        class Whole(SoundMethod):
            def bank(self, layers: Mapping[str, Any], scales: tuple[int, ...]) -> nn.Module:
                (layer,) = layers.values()
                rows = Rows(len(layer.weight), layer)
                rows.rows.data.copy_(layer.weight.detach().flatten(1))
                return rows

        plain, made = (create_model(backbone, scales=scales, seed=seed) for _ in range(2))
        apply_method(made, Whole())
        for module in made.modules():
            if isinstance(module, Mixed):
                module.mixture.data.copy_(torch.eye(len(module.mixture)) * self.identity_factor)
        return plain, made

    identity_factor = 1.0
