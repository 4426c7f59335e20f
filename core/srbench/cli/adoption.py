"""Output of `srbench run --adopt`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srbench.runs.adoption import AdoptionReport

__all__ = ["show_adoption", "write_adoption"]


def show_adoption(report: AdoptionReport) -> None:
    """Print adopted results, refused ones with the reason, and missing ones."""
    from rich.console import Console

    from srbench.cli.output import say

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for record in report.adopted:
        how = record.adopted
        assert how is not None  # always set on adopted records
        training = f", its training {how.training}" if how.training else ""
        values = ", ".join(f"{name} by at most {value:.1e}" for name, value in how.largest_difference.items())
        say(
            f"adopted: {record.model} x{record.scale} on {record.dataset}, {record.protocol}: "
            f"{how.evaluation}{f' ({values})' if values else ''}{training}",
            console=console,
        )
    for refusal in report.refused:
        say(f"refused: {refusal.cell}: {refusal.reason}", console=console)
    for cell in report.absent:
        say(f"no result: {cell}", console=console)
    say(
        f"{report.current} cells were up to date, {len(report.adopted)} adopted, {len(report.refused)} refused, "
        f"{len(report.absent)} without a result in {report.run_dir}",
        console=console,
    )


def write_adoption(target: str, report: AdoptionReport) -> None:
    """Write the outcome as JSON (docs/json.md)."""
    from srbench.cli.output import write_json

    value = {
        "suite": report.plan.suite.name,
        "run_dir": str(report.run_dir),
        "current": report.current,
        "adopted": [record.model_dump() for record in report.adopted],
        "refused": [{"cell": refusal.cell, "reason": refusal.reason} for refusal in report.refused],
        "absent": report.absent,
    }
    write_json(value, target)
