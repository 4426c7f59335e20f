"""Tables and pages of a run or board, with what the installed code and plugins know of it."""

from __future__ import annotations

from pathlib import Path

from srbench.leaderboard.publish import Build, build
from srbench.runs.fingerprint import other_code
from srbench.runs.installed_figures import installed_published

__all__ = ["build_pages"]


def build_pages(run_dir: Path, out_dir: Path | None = None, *, write: bool = True) -> Build:
    """Make tables and page: rows whose code has changed are marked, and published figures are shown beside measured.

    Args:
        run_dir: A run directory, or the results of a board.
        out_dir: Where to write; `RUN_DIR/leaderboard` by default.
        write: False to make only the content.

    Raises:
        StoreError: There are no results in `run_dir`, or `out_dir` cannot be written to.
    """
    return build(run_dir, out_dir, write=write, other_code=other_code(run_dir), published=installed_published())
