"""The origin of a tag's published weights, for records."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from srbench.registry.entry_points import contributions
from srbench.registry.names import ModelName
from srbench.results.origins import WeightsOrigin

if TYPE_CHECKING:
    from srbench.models.weight_sources import WeightSource

__all__ = ["origin_of", "third_party_training"]


def origin_of(name: ModelName, source: WeightSource) -> WeightsOrigin:
    """Return URL, licence, paper and third-party trainer of a tag's weights."""
    return WeightsOrigin(
        url=source.url, licence=source.licence, paper=source.paper, third_party=third_party_training(name)
    )


def third_party_training(name: ModelName) -> str:
    """Return who trained the weights of a tag if it was not the authors of the paper; else an empty string.

    The module that registers the weights has a table `THIRD_PARTY`, tagged name -> who trained them. It is separate
    from the weights' source, which is part of the code that affects results.
    """
    tagged = str(ModelName(name.backbone, name.method, (), name.tag))
    for item in contributions()["weights"].get(tagged, ()):
        known = getattr(import_module(item.value.partition(":")[0]), "THIRD_PARTY", {})
        if tagged in known:
            return str(known[tagged])
    return ""
