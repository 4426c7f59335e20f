"""Compare the figures that are published of weights with those of boards or of a run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from srbench.errors import StoreError
from srbench.results.published_figures import Difference, Published, PublishedFigure, differences
from srbench.results.records import Record
from srbench.results.store import RunStore

__all__ = ["PublishedCheck", "check_published"]

USUAL = "matlab-y"


@dataclass
class PublishedCheck:
    """What came of the comparison.

    Attributes:
        compared: Each published figure that was measured, with the measured one.
        not_measured: Published figures of data sets that were not measured at the scale.
    """

    compared: list[Difference] = field(default_factory=list)
    not_measured: list[PublishedFigure] = field(default_factory=list)

    @property
    def silent(self) -> list[Difference]:
        """Return the differences about which nothing is said with the published figure."""
        return [one for one in self.compared if one.silent]


def check_published(folder: Path, published: Published, models: Collection[str]) -> PublishedCheck:
    """Compare published figures with the measured means of a board, a run or a folder of boards.

    A figure is compared under the protocol that is most like the authors'; where the boards have none of it, under
    `matlab-y`, and else under all whose colors are the figure's.

    Args:
        folder: A board's folder, a run's directory, or a folder with several.
        published: What is published.
        models: The models to compare.

    Raises:
        StoreError: There are no results in the folder.
    """
    records: dict[tuple[str, int, str], list[Record]] = {}
    for record in _records(folder):
        if record.status == "ok" and record.subset is None and record.training is None:
            records.setdefault((record.model, record.scale, record.dataset), []).append(record)
    check, wanted = PublishedCheck(), set(models)
    for figure in published.figures:
        if figure.model not in wanted:
            continue
        measured = records.get((figure.model, figure.scale, figure.dataset), [])
        protocols = {record.protocol for record in measured}
        chosen = next((name for name in (figure.like, USUAL) if name in protocols), None)
        found = [
            one
            for record in measured
            if (chosen or record.protocol) == record.protocol
            and (record.primary_metric or "psnr_y").endswith(f"_{figure.colors}")
            for one in differences([figure], record.dataset, record.protocol, record.metrics)
        ]
        check.compared += found
        if not found:
            check.not_measured.append(figure)
    return check


def _records(folder: Path) -> list[Record]:
    """Return the records of all results in a folder.

    Raises:
        StoreError: There are none.
    """
    if not folder.is_dir():
        raise StoreError(f"there is no directory '{folder}'; give a board's, a run's, or one that holds boards")
    boards = [folder, folder / "results", *(path / "results" for path in sorted(folder.iterdir()))]
    found = [board for board in boards if (board / "run.json").is_file()]
    if not found:
        raise StoreError(
            f"'{folder}' holds no results; give a board's folder, a run's directory, or a folder of boards"
        )
    return [cell.record for board in found for cell in RunStore(board).cells()]
