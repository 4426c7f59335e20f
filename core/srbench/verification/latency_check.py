"""The check of the file of times: its form only, since times cannot be measured again."""

from __future__ import annotations

from srbench.errors import SRBenchError
from srbench.results.latency_records import LATENCY_FILE, LEAST_PASSES, read_latency
from srbench.results.records import now
from srbench.verification.findings import CheckResult
from srbench.verification.stored_board import Board

__all__ = ["check_latency"]


def check_latency(board: Board) -> CheckResult:
    """Check that times are of the board's models, of the stated size, and enough of each."""
    result = CheckResult("latency", "networks")
    try:
        runs = read_latency(board.store.path)
    except SRBenchError as error:
        result.wrong("", str(error))
        return result
    if not runs:
        result.notes.append(f"there is no {LATENCY_FILE}")
    if len({run.identity for run in runs}) < len(runs):
        result.wrong("", f"{LATENCY_FILE} has two runs of one scale on one machine; measure one of them --again")
    measured = {(cell.record.model, cell.record.scale) for cell in board.cells if cell.cell is not None}
    for run in runs:
        where = f"x{run.scale} on {run.machine}"
        result.checked += len(run.networks)
        if any(side * run.scale < full for side, full in zip(run.lr, run.output, strict=True)):
            result.wrong("", f"{where}: an LR image of {run.lr} does not give an output of {run.output}")
        if not run.sessions and run.networks:
            result.wrong("", f"{where}: there is no session, so nobody knows when it was measured")
        for session in run.sessions:
            if not session.started <= session.finished <= now():
                result.wrong("", f"{where}: a session from {session.started} to {session.finished} cannot be")
        for name, of in run.networks.items():
            if (name, run.scale) not in measured:
                result.wrong(name, f"{where}: times of a model that the board does not have")
            elif of.seconds and not of.complete:
                result.wrong(name, f"{where}: {len(of.seconds)} passes; {LEAST_PASSES} are the least, measure it again")
            elif of.reason:
                result.notes.append(f"{name} was not timed: {of.reason}")
    return result
