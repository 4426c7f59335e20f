"""The values of single images: an array per metric, and names that cells with the same images share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srbench.results.packed import PackedCell
from srbench.results.store import Cell

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ImageValues", "image_values", "stored_columns"]

Array = NDArray[np.float64]


class ImageValues:
    """The values of one model on the images of one data set.

    Args:
        names: Names of the images.
        columns: Metric -> one value per image.
    """

    __slots__ = ("_columns", "names")

    def __init__(self, names: tuple[Any, ...], columns: Mapping[str, Array]) -> None:
        self.names = names
        self._columns = columns

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, metric: str) -> bool:
        return metric in self._columns

    def __getitem__(self, metric: str) -> Array:
        return self._columns[metric]


def stored_columns(cell: Cell) -> tuple[Collection[str], int]:
    """Return the names of the columns of a cell's table, and the number of its images.

    Raises:
        StoreError: The table cannot be read.
    """
    if isinstance(cell, PackedCell):
        return cell.values.columns, len(cell.values.images)
    return list(cell.per_image.columns), len(cell.per_image)


def image_values(cells: Sequence[Cell]) -> tuple[ImageValues, dict[str, list[float]]]:
    """Return the values of a model on a data set, averaged over the seeds, and the mean of each training.

    Args:
        cells: One for each seed.

    Returns:
        The values, with images sorted by name; metric -> the mean over the images for each seed, empty for one seed.
    """
    first = cells[0]
    if len(cells) == 1 and isinstance(first, PackedCell):
        values = _sorted(first)
        if values is not None:
            return values, {}
    import pandas as pd

    table = first.per_image
    if len(cells) > 1:
        table = pd.concat([cell.per_image.assign(seed=cell.record.identity[2]) for cell in cells], ignore_index=True)
    means = {}
    if "seed" in table:
        by_seed = table.groupby("seed")
        metrics = {metric for cell in cells for metric in cell.record.metrics if metric in table}
        means = {metric: [float(mean) for mean in by_seed[metric].mean()] for metric in sorted(metrics)}
    over = _over_seeds(table)
    columns = {name: over[name].to_numpy(np.float64) for name in over.columns}
    return ImageValues(tuple(over.index), columns), means


def _sorted(cell: PackedCell) -> ImageValues | None:
    """Return the values of a packed cell, sorted by image; None if an image has several rows."""
    images, columns = cell.values.images, cell.values.columns
    if "seed" in columns or "image" in columns or len(set(images)) != len(images):
        return None
    names = sorted(images)
    if names == list(images):
        return ImageValues(images if isinstance(images, tuple) else tuple(images), columns)
    order = sorted(range(len(images)), key=images.__getitem__)
    return ImageValues(tuple(names), {name: column[order] for name, column in columns.items()})


def _over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per image, sorted by name, averaged over the seeds of a training."""
    if "seed" not in table and table["image"].is_unique:
        numbers = table.set_index("image").select_dtypes("number")
        return numbers.sort_index()
    return table.drop(columns="seed", errors="ignore").groupby("image", sort=True).mean(numeric_only=True)
