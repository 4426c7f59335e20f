"""Findings of `srbench plugins doctor`, and a report per distribution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from srbench.registry.entry_points import PluginStatus

__all__ = ["Finding", "PluginReport", "worst"]

_ORDER = tuple(PluginStatus)  # from best to worst


@dataclass(frozen=True)
class Finding:
    """One problem with a plugin.

    Attributes:
        status: Its severity; WARNING if the plugin can still be used.
        about: What it concerns, such as `methods/ps`; empty for the distribution as a whole.
        cause: The problem.
        remedy: How to fix it.
        traceback: Traceback if the plugin failed; otherwise empty.
    """

    status: PluginStatus
    about: str
    cause: str
    remedy: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{f'{self.about}: ' if self.about else ''}{self.cause}; {self.remedy}"


@dataclass(frozen=True)
class PluginReport:
    """The report on one distribution.

    Attributes:
        distribution: Its name.
        version: Its version.
        names: Its contributions, as `kind/name`.
        findings: Problems, worst first.
        import_seconds: Import time of its modules, without torch and sr-bench; None if they were not imported.
    """

    distribution: str
    version: str
    names: tuple[str, ...]
    findings: tuple[Finding, ...]
    import_seconds: float | None = None

    @property
    def status(self) -> PluginStatus:
        """The status of the worst finding."""
        return self.findings[0].status if self.findings else PluginStatus.OK


def worst(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings, worst first."""
    return tuple(sorted(findings, key=lambda finding: -_ORDER.index(finding.status)))
