"""Run all checks of a board in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from srbench.runs.row_replay import Replayed
from srbench.verification.coverage import check_coverage, check_seeds, check_suite
from srbench.verification.findings import CheckResult
from srbench.verification.latency_check import check_latency
from srbench.verification.network_checks import Networks, check_cost, check_loading, check_parameters
from srbench.verification.record_checks import (
    check_dates,
    check_files,
    check_identity,
    check_means,
    check_replays,
    check_schema,
)
from srbench.verification.registered import (
    check_data,
    check_images,
    check_key,
    check_metrics,
    check_protocol,
    check_tier,
    check_training,
    check_weights,
)
from srbench.verification.sampling import check_replay
from srbench.verification.stored_board import Board, read_board
from srbench.verification.written_files import check_pages

__all__ = ["BoardReport", "check_board"]

_CHECKS: tuple[Callable[[Board], CheckResult], ...] = (
    check_schema,
    check_files,
    check_identity,
    check_key,
    check_suite,
    check_coverage,
    check_seeds,
    check_images,
    check_data,
    check_protocol,
    check_metrics,
    check_means,
    check_tier,
    check_weights,
    check_training,
    check_dates,
    check_replays,
    check_latency,
    check_pages,
)


@dataclass
class BoardReport:
    """The results of all checks.

    Attributes:
        run_dir: The run directory.
        checks: The result of each check.
        replayed: Rows that were measured again.
    """

    run_dir: Path
    checks: list[CheckResult] = field(default_factory=list)
    replayed: list[Replayed] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> list[str]:
        """The names of the failed checks."""
        return [check.name for check in self.checks if not check.passed]


def check_board(
    path: Path,
    *,
    suite: str | Path | None = None,
    networks: bool = True,
    load: bool = False,
    replays: int = 0,
    seed: int = 0,
    train: bool = False,
    device: str = "cpu",
    record: bool = False,
    by: str | None = None,
    note: Callable[[str], None] = lambda text: None,
    report: Callable[[CheckResult], None] = lambda check: None,
) -> BoardReport:
    """Check a board.

    Args:
        path: A run directory, or the folder of a committed board.
        suite: The suite that the board should be of; by default, the installed one of its name.
        networks: Build the networks to count parameters and work; imports torch.
        load: Load published weights as well.
        replays: Number of rows to measure again.
        seed: Seed for the choice of these rows.
        train: Retrain models whose weights are missing.
        device: Device for the measurements.
        record: Store each outcome in `replays.json`.
        by: Who replays the rows.
        note: Called with a description of each step.
        report: Called with the result of each check as soon as it is known.

    Raises:
        SRBenchError: There are no results, or an option is invalid.
    """
    board = read_board(path, suite)
    found = BoardReport(board.store.path)

    def add(check: CheckResult) -> None:
        found.checks.append(check)
        report(check)

    for check in _CHECKS:
        add(check(board))
    if networks:
        built = Networks(board)
        add(check_parameters(board, built))
        add(check_cost(board, built))
    if load:
        add(check_loading(board))
    if replays:
        result, found.replayed = check_replay(
            board, replays, seed, train=train, device=device, record=record, by=by, note=note
        )
        add(result)
    return found
