"""The result of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from srbench.metrics.base import Metric
from srbench.protocols import Protocol

if TYPE_CHECKING:
    import pandas as pd

    from srbench.evaluation.execution import TileError

__all__ = ["Evaluation"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a model on a data set under a protocol.

    Attributes:
        dataset: The data set's name.
        scale: The scale.
        protocol: The protocol's name.
        metrics: The computed metrics.
        table: One row per image: `image`, one column per metric, `forward_seconds` (the network alone, in seconds).
        tile_error: The error caused by tiles, measured on a part of an image; None if no image was tiled.
    """

    dataset: str
    scale: int
    protocol: Protocol
    metrics: tuple[Metric, ...]
    table: pd.DataFrame
    tile_error: TileError | None = None

    @property
    def images(self) -> list[str]:
        """Return the images' names in evaluation order."""
        return [str(name) for name in self.table["image"]]

    @property
    def scores(self) -> pd.DataFrame:
        """Return the table without times: `image` and one column per metric."""
        return self.table[["image", *(metric.name for metric in self.metrics)]]

    @property
    def means(self) -> dict[str, float]:
        """Return metric -> mean over the images."""
        return {metric.name: float(self.table[metric.name].mean()) for metric in self.metrics}

    @property
    def forward_seconds(self) -> dict[str, float]:
        """Return image -> seconds of the network's forward pass."""
        return dict(zip(self.images, map(float, self.table["forward_seconds"]), strict=True))
