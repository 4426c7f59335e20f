"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CheckResult", "Finding"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        cell: The cell's name; empty where it is about the whole board.
        sentence: What is wrong.
    """

    cell: str
    sentence: str


@dataclass
class CheckResult:
    """What one check found on a board.

    Attributes:
        name: The check's name, e.g. `means`.
        noun: What it looks at, in the plural.
        checked: How many of these it looked at.
        findings: What is wrong; empty if the check passed.
        notes: What it could not look at, and other facts that are no faults.
    """

    name: str
    noun: str = "cells"
    checked: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.findings

    def wrong(self, cell: str, sentence: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(cell, sentence))
