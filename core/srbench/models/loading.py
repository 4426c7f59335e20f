"""Load networks with trained weights, for commands and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from srbench.errors import ConfigError, WeightsError
from srbench.models.backbone import Backbone
from srbench.models.factory import create_model
from srbench.models.weight_files import load_into, saved_for
from srbench.models.weight_sources import PerScaleWeights
from srbench.registry import canonical_name, tagged_source

__all__ = ["load_at_scale", "load_network", "parse_scales"]


def load_network(name: str, weights: Path | None = None, scales: Sequence[int] | None = None) -> Backbone:
    """Return a network with the weights of its tag or of a file, built for all scales of these weights.

    Args:
        name: A model's name.
        weights: A checkpoint, instead of a tag's.
        scales: Scales of the weights; needed only if the file does not state them, or to choose one of a tag's files.

    Raises:
        ConfigError: There are no weights, or their scales are not known.
        UnknownNameError, NameSyntaxError: The name is unknown or invalid.
        WeightsError, NetworkError: The weights are not available or do not fit.
    """
    model_name = canonical_name(name)
    if weights is None:
        if model_name.tag is None:
            raise ConfigError(
                f"'{name}' has no weights, and random ones would be meaningless; give --weights FILE, "
                "or a tag (`srbench list models`)"
            )
        source = tagged_source(model_name)
        # With one file per scale, each network has one scale; take the first unless one was chosen.
        served = source.scales[:1] if isinstance(source, PerScaleWeights) else source.scales
        return create_model(name, scales=tuple(scales or served))
    if not weights.is_file():
        raise WeightsError(f"there is no weights file '{weights}'")
    named = saved_for(weights)
    served = tuple(scales or (named.scales if named is not None else ()))
    if not served:
        raise ConfigError(f"'{weights}' does not state its scales; give them with --scales 2 or --scales 2,3,4")
    model = create_model(name, scales=served, pretrained=False if model_name.tag is not None else None)
    load_into(model, weights)
    return model


def load_at_scale(name: str, weights: Path, scale: int) -> Backbone:
    """Return what one scale needs of a network with the weights of a file, which may hold several scales.

    Raises:
        ConfigError: The weights are not for this scale.
        UnknownNameError, NameSyntaxError: The name is unknown or invalid.
        WeightsError, NetworkError: The weights are not available or do not fit.
    """
    named = saved_for(weights)
    if named is not None and scale not in named.scales:
        raise ConfigError(
            f"'{weights}' holds weights for scale {', '.join(map(str, named.scales))}, not {scale}; give --scale "
            f"{named.scales[0]} or another file"
        )
    network = load_network(name, weights, (scale,) if named is None else named.scales)
    return network if network.scales == (scale,) else network.at_scale(scale)


def parse_scales(text: str | None) -> tuple[int, ...] | None:
    """Parse `2,3,4`; None stays None.

    Raises:
        ConfigError: The text is not a list of whole numbers.
    """
    if text is None:
        return None
    try:
        scales = tuple(int(part) for part in text.split(","))
        if len(set(scales)) < len(scales) or not all(1 <= scale <= 16 for scale in scales):
            raise ConfigError(f"--scales takes different scales from 1 to 16; got '{text}'")
        return scales
    except ValueError:
        raise ConfigError(f"--scales takes whole numbers separated by commas, such as 2,3,4; got '{text}'") from None
