"""Files that metrics need: their sources and hashes."""

from __future__ import annotations

from dataclasses import dataclass

from srbench.errors import SRBenchError

__all__ = ["MetricFile", "metric_files"]


@dataclass(frozen=True)
class MetricFile:
    """Source and hash of a published file.

    Attributes:
        name: Its published name.
        sha256: Hash of the file.
        size: Its size in bytes.
        source: What it contains and who published it.
        url: Where it can be downloaded; None for a file that can only be added to the cache by hand.
    """

    name: str
    sha256: str
    size: int
    source: str
    url: str | None = None


def metric_files() -> dict[str, list[MetricFile]]:
    """Return metric -> files for every installed metric that needs files and can be loaded; imports no torch."""
    from srbench.registry import get_metric, list_metrics

    found: dict[str, list[MetricFile]] = {}
    for name in list_metrics():
        try:
            files = getattr(get_metric(name), "files", ())
        except SRBenchError:
            continue  # a broken plugin must not hide the others; `srbench plugins doctor` reports it
        if files:
            found[name] = list(files)
    return found
