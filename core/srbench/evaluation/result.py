"""What an evaluation returns."""

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
    """Hold what a model scored on a data set under a protocol.

    Attributes:
        dataset: The data set's name.
        scale: The scale.
        protocol: How images were made comparable.
        metrics: What was computed.
        table: One row per image: `image`, one column per metric, `forward_seconds` (the network alone, in seconds).
        tile_error: What tiles changed, measured on a part of an image; None where no image was cut.
    """

    dataset: str
    scale: int
    protocol: Protocol
    metrics: tuple[Metric, ...]
    table: pd.DataFrame
    tile_error: TileError | None = None

    @property
    def images(self) -> list[str]:
        """Return the images' names, in the order in which they were measured."""
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
        """Return image -> seconds that the network alone took."""
        return dict(zip(self.images, map(float, self.table["forward_seconds"]), strict=True))
