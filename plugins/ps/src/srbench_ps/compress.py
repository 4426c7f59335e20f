"""Compress a trained network: PS as the best approximation of its kernels, and how far that is from them."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from srbench.plugin import Backbone, ConfigError, ModelName, apply_method, canonical_name, layer_at
from srbench_ps.loading import shared_layers
from srbench_ps.method import PS
from srbench_ps.tiling import canonical_kernel, to_tiles

__all__ = ["Compression", "LayerError", "compress_network"]


@dataclass(frozen=True)
class LayerError:
    """Say how far a layer's new kernel is from the trained one.

    Attributes:
        path: The layer.
        error: Frobenius norm of the difference.
        norm: Frobenius norm of the trained kernel.
    """

    path: str
    error: float
    norm: float

    @property
    def relative(self) -> float:
        """`error / norm`, without unit."""
        return self.error / self.norm if self.norm else 0.0


@dataclass(frozen=True)
class Compression:
    """Hold a compressed network and what was lost.

    Attributes:
        model: The network with PS; its name says the method without `init`, which no longer matters.
        layers: One entry per layer, in the network's order.
        tail: Root of the sum of the squared singular values left out, over all banks: what `error` must equal.
    """

    model: Backbone
    layers: tuple[LayerError, ...]
    tail: float

    @property
    def error(self) -> float:
        """Frobenius norm of the difference of all kernels."""
        return math.hypot(*(layer.error for layer in self.layers))

    @property
    def norm(self) -> float:
        """Frobenius norm of all kernels."""
        return math.hypot(*(layer.norm for layer in self.layers))

    @property
    def relative(self) -> float:
        """`error / norm`, without unit."""
        return self.error / self.norm if self.norm else 0.0


def compress_network(model: Backbone, method: PS) -> Compression:
    """Apply PS to a trained network, started at the best approximation of its kernels.

    All partial filters of a bank, stacked as rows, are a matrix that PS factorises at rank N_p; its truncated SVD has
    the least Frobenius error of all (Eckart and Young, 1936). Biases are kept.

    Args:
        model: A published network or its dense form; it is left as it is.
        method: PS with `init` "svd".

    Raises:
        ConfigError: The network uses a sharing method already, or `method.init` is not "svd".
        SharingError: The shape does not tile the network's kernels.
    """
    name = model.model_name
    if method.init != "svd":
        raise ConfigError(f"compressing starts from a truncated SVD: init=svd, not {method.init or 'he'}")
    if name is not None and name.method not in (None, "dense"):
        raise ConfigError(
            f"'{name}' shares weights by '{name.method}' already; give a published network or its dense form, such as "
            f"'{name.backbone}'"
        )
    compressed = apply_method(copy.deepcopy(model), method)
    layers = []
    rows: dict[int, list[Tensor]] = {}
    ranks: dict[int, int] = {}
    for path, layer in shared_layers(compressed).items():
        trained = layer_at(model, path)
        assert isinstance(trained, torch.nn.Conv2d | torch.nn.ConvTranspose2d)  # PS takes no other
        difference = layer.kernel().detach().double() - trained.weight.detach().double()
        layers.append(LayerError(path, float(difference.norm()), float(trained.weight.detach().double().norm())))
        rows.setdefault(id(layer.bank), []).append(to_tiles(canonical_kernel(trained), layer.bank.tile))
        ranks[id(layer.bank)] = layer.bank.filters.shape[0]
    left_out = [_singular_values(tiles)[ranks[bank] :] for bank, tiles in rows.items()]
    tail = math.sqrt(sum(float(values.square().sum()) for values in left_out))
    if name is not None:
        arguments = {key: value for key, value in method.config().items() if key != "init"}
        compressed.model_name = canonical_name(ModelName(name.backbone, "ps", tuple(arguments.items())))
    return Compression(compressed, tuple(layers), tail)


def _singular_values(tiles: list[Tensor]) -> Tensor:
    values: Tensor = torch.linalg.svdvals(torch.cat(tiles).detach().double())
    return values
