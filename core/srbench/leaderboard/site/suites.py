"""The suites of a folder of leaderboards, read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from srbench.errors import SRBenchError, StoreError
from srbench.leaderboard.boards import Results, read_results
from srbench.leaderboard.publish import RESULTS
from srbench.results.published_figures import Published

__all__ = ["OtherCode", "Suite", "read_suites", "suite_folders"]

OtherCode = Callable[[Path], Collection[str]]
"""Returns the keys of a store's cells whose code has changed since they were measured."""


@dataclass(frozen=True)
class Suite:
    """The results of one suite.

    Attributes:
        results: The results; None if they cannot be read, for the reason in `problem`.
        other_code: Keys of cells whose code has changed.
    """

    folder: str
    results: Results | None
    problem: str
    other_code: Collection[str]

    @property
    def title(self) -> str:
        """The suite's title, or the folder's name."""
        return self.folder if self.results is None else self.results.title

    @property
    def description(self) -> str:
        """The suite's description."""
        return self.results.info.description if self.results is not None and self.results.info is not None else ""


def suite_folders(root: Path) -> list[Path]:
    """Return the folders with a suite's results, by name.

    Raises:
        StoreError: There is no such directory, or it holds none.
    """
    if not root.is_dir():
        raise StoreError(f"there is no directory '{root}'; give the one that holds a folder per suite")
    folders = sorted(path for path in root.iterdir() if (path / RESULTS).is_dir())
    if not folders:
        raise StoreError(
            f"no folder in '{root}' holds a '{RESULTS}' directory; copy a run's directory there, one per suite"
        )
    return folders


def read_suites(root: Path, other_code: OtherCode | None = None, published: Published | None = None) -> Iterator[Suite]:
    """Yield the suites one by one, so that only one is in memory at a time.

    Args:
        root: A directory with one folder per suite.
        other_code: Returns the keys of a store's cells whose code has changed; without it none are marked.
        published: What is published of the weights that were measured.

    Raises:
        StoreError: There is no such directory, or it holds none.
    """
    for folder in suite_folders(root):
        try:
            results = read_results(folder / RESULTS, published)
            marked = other_code(folder / RESULTS) if other_code is not None else frozenset[str]()
            yield Suite(folder.name, results, "", marked)
        except SRBenchError as error:
            # The page must not depend on the path of the checkout.
            problem = str(error).replace(str(folder), folder.name)
            yield Suite(folder.name, None, problem, frozenset())
