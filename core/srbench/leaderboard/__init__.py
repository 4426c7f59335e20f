"""Leaderboards: results ranked with their uncertainty, as a table, Markdown and a self-contained page.

The package only reads results; importing it does not import torch.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from srbench.results.published_figures import Published

__all__ = ["build", "ranking", "show"]


def build(
    run_dir: str | Path,
    out_dir: str | Path | None = None,
    *,
    other_code: Collection[str] = frozenset(),
    published: Published | None = None,
) -> list[Path]:
    """Write leaderboard.csv, leaderboard.md and index.html, and return where they are.

    Args:
        run_dir: A directory that `srbench run` wrote.
        out_dir: Where to write; `RUN_DIR/leaderboard` by default.
        other_code: Keys of cells whose code has changed since they were measured; the page marks them.
        published: What is published of the weights that were measured.

    Raises:
        StoreError: There are no results in `run_dir`, or `out_dir` cannot be written to.
    """
    from srbench.leaderboard import publish

    return publish.build(run_dir, out_dir, other_code=other_code, published=published).paths


def ranking(run_dir: str | Path) -> pd.DataFrame:
    """Return one row per model, scale, protocol and tier, best first; `tables.ranking_table` lists the columns.

    Raises:
        StoreError: There are no results in `run_dir`.
    """
    from srbench.leaderboard.boards import read_results
    from srbench.leaderboard.tables import ranking_table
    from srbench.results.rows import of_board

    return ranking_table(read_results(of_board(run_dir)))


def show(run_dir: str | Path, console: Console | None = None) -> None:
    """Print the ranking of a run to the terminal.

    Raises:
        StoreError: There are no results in `run_dir`.
    """
    from srbench.leaderboard.boards import read_results
    from srbench.leaderboard.terminal import print_results
    from srbench.results.rows import of_board

    print_results(read_results(of_board(run_dir)), console)
