"""The check of the files made from results."""

from __future__ import annotations

from srbench.errors import SRBenchError
from srbench.leaderboard.publish import outdated
from srbench.runs.pages import build_pages
from srbench.verification.findings import CheckResult
from srbench.verification.stored_board import Board

__all__ = ["check_pages"]


def check_pages(board: Board) -> CheckResult:
    """Check that tables and page are up to date with the results."""
    result = CheckResult("pages", "files")
    if board.pages is None:
        result.notes.append("there are none")
        return result
    try:
        made = build_pages(board.store.path, board.pages, write=False)
    except SRBenchError as error:
        result.wrong("", f"they cannot be made: {error}")
        return result
    result.checked = len(made.files)
    for name in outdated(made):
        result.wrong("", f"'{name}' is not up to date with the results")
    return result
