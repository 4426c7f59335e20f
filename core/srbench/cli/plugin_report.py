"""What `srbench plugins doctor` says: findings about plugins, and one report for each distribution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from srbench.registry.entry_points import PluginStatus

__all__ = ["Finding", "PluginReport", "worst"]

_ORDER = tuple(PluginStatus)  # from fine to unusable


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a plugin.

    Attributes:
        status: How bad it is; WARNING for what can still be used.
        about: What it is about, as `methods/ps`; empty for the distribution as a whole.
        cause: What is wrong.
        remedy: What to do.
        traceback: Where the plugin failed; empty if it did not.
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
    """What is known of one distribution.

    Attributes:
        distribution: Its name.
        version: Its version.
        names: What it contributes, as `kind/name`.
        findings: What is wrong, the worst first.
        import_seconds: How long its modules took to import, without torch and sr-bench; None if they were not imported.
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
    """Return findings, the worst first."""
    return tuple(sorted(findings, key=lambda finding: -_ORDER.index(finding.status)))
