"""Verification of boards: `srbench leaderboard check` (docs/adr/0026-what-a-row-claims.md).

`record_checks`, `coverage`, `registered` and `written_files` need no torch; `network_checks` builds networks, and
`sampling` measures rows again.
"""

from __future__ import annotations

from srbench.verification.board_check import BoardReport, check_board
from srbench.verification.findings import CheckResult, Finding

__all__ = ["BoardReport", "CheckResult", "Finding", "check_board"]
