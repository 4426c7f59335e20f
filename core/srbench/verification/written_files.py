"""The check of the files made from results."""

from __future__ import annotations

from srbench.errors import SRBenchError
from srbench.leaderboard.publish import build, outdated
from srbench.runs.fingerprint import other_code
from srbench.runs.installed_figures import installed_published
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
        made = build(
            board.store.path,
            board.pages,
            write=False,
            other_code=other_code(board.store.path),
            published=installed_published(),
        )
    except SRBenchError as error:
        result.wrong("", f"they cannot be made: {error}")
        return result
    result.checked = len(made.files)
    for name in outdated(made):
        result.wrong("", f"'{name}' is not up to date with the results")
    return result
