"""The swap table from a run of the suite `ps-swap`; reads results only."""

from __future__ import annotations

import re
from pathlib import Path

from srbench.plugin import ConfigError, RunStore
from srbench_ps.swap import SwapCell

__all__ = ["read_swaps"]


def read_swaps(run: Path, model: str, protocol: str, dataset: str | None = None) -> dict[str, list[SwapCell]]:
    """Return the cells of each data set, those of one coefficients' scale together.

    Args:
        run: A run's directory.
        model: Canonical name of the tagged model whose coefficients were swapped.
        protocol: The protocol's name.
        dataset: One data set; all where it is not given.

    Raises:
        StoreError: There is no run there.
        ConfigError: The run lacks cells of the table.
    """
    tables: dict[str, list[SwapCell]] = {}
    for cell in RunStore(run).cells():
        record = cell.record
        swapped = re.fullmatch(re.escape(model) + r"-coefficients-x(\d+)", record.model)
        if swapped is None or record.status != "ok" or record.protocol != protocol:
            continue
        if dataset is None or record.dataset == dataset:
            rows = [{str(key): row[key] for key in row} for row in cell.per_image.to_dict(orient="records")]
            found = SwapCell(record.scale, int(swapped[1]), record.metrics, rows)
            tables.setdefault(record.dataset, []).append(found)
    if not tables:
        raise ConfigError(f"'{run}' holds no cell of '{model}-coefficients-x...' under {protocol}")
    for name, cells in tables.items():
        cells.sort(key=lambda cell: (cell.coefficients_of, cell.task))
        scales = {scale for cell in cells for scale in (cell.task, cell.coefficients_of)}
        lacking = {(task, of) for task in scales for of in scales} - {(c.task, c.coefficients_of) for c in cells}
        if lacking:
            listed = ", ".join(f"x{task} with x{of}" for task, of in sorted(lacking))
            raise ConfigError(f"the table of {name} in '{run}' is not finished: {listed}; run the suite again")
    return tables
