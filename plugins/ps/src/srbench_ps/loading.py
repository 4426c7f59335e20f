"""Networks with partial filters, as the commands and figures of this plugin need them."""

from __future__ import annotations

from srbench.plugin import Backbone, SharingError, load_network, parse_scales
from srbench_ps.layers import SharedConv

__all__ = ["load_network", "parse_scales", "shared_layers"]


def shared_layers(model: Backbone) -> dict[str, SharedConv]:
    """Return the layers that take their kernels from a filter bank, by path.

    Raises:
        SharingError: There are none: the network does not use PS.
    """
    layers = {path: module for path, module in model.named_modules() if isinstance(module, SharedConv)}
    if not layers:
        raise SharingError(
            f"'{model.model_name}' has no coefficient matrices: it does not use partial filters; give a model such as "
            "drrn_b1u9+ps.author"
        )
    return layers
