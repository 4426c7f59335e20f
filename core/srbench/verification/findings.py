"""Results of checks."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CheckResult", "Finding"]


@dataclass(frozen=True)
class Finding:
    """One problem found by a check.

    Attributes:
        cell: Name of the cell; empty if the problem concerns the whole board.
        sentence: The problem, as a sentence.
    """

    cell: str
    sentence: str


@dataclass
class CheckResult:
    """The result of one check of a board.

    Attributes:
        name: The check's name, e.g. `means`.
        noun: What it examines, in the plural.
        checked: Number of examined items.
        findings: Problems; empty if the check passed.
        notes: Items that could not be examined, and other remarks that are not problems.
    """

    name: str
    noun: str = "cells"
    checked: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no problems were found."""
        return not self.findings

    def wrong(self, cell: str, sentence: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(cell, sentence))
