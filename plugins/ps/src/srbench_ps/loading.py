"""Networks with trained weights, as the commands and figures of this plugin need them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from srbench.backbone import Backbone
from srbench.errors import ConfigError, SharingError, WeightsError
from srbench.factory import create_model
from srbench.registry import canonical_name, tagged_source
from srbench.weights import load_into, saved_for
from srbench_ps.layers import SharedConv

__all__ = ["load_network", "parse_scales", "shared_layers"]


def load_network(name: str, weights: Path | None = None, scales: Sequence[int] | None = None) -> Backbone:
    """Return a network with the weights of its tag or of a file, built for all scales that they serve.

    Args:
        name: A model's name.
        weights: A checkpoint, instead of a tag's.
        scales: What the weights serve; needed only where the file does not say it itself.

    Raises:
        ConfigError: There are no weights, or nothing says which scales they serve.
        UnknownNameError, NameSyntaxError: The name is not right.
        WeightsError, NetworkError: The weights cannot be had or do not fit.
    """
    model_name = canonical_name(name)
    if weights is None:
        if model_name.tag is None:
            raise ConfigError(
                f"'{name}' names no weights, and a network at its random start says nothing: give --weights FILE, or a "
                "tag (`srbench list models`)"
            )
        return create_model(name, scales=tuple(scales or tagged_source(model_name).scales))
    if not weights.is_file():
        raise WeightsError(f"there is no weights file '{weights}'")
    named = saved_for(weights)
    served = tuple(scales or (named.scales if named is not None else ()))
    if not served:
        raise ConfigError(f"'{weights}' does not say which scales it serves; say it: --scales 2 or --scales 2,3,4")
    model = create_model(name, scales=served, pretrained=False if model_name.tag is not None else None)
    load_into(model, weights)
    return model


def parse_scales(text: str | None) -> tuple[int, ...] | None:
    """Read `2,3,4`; None stays None.

    Raises:
        ConfigError: The text is not a list of whole numbers.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--scales takes whole numbers separated by commas, such as 2,3,4; got '{text}'") from None


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
