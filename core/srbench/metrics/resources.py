"""Files that metrics need: where they come from and how they are recognised."""

from __future__ import annotations

from dataclasses import dataclass

from srbench.errors import SRBenchError

__all__ = ["MetricFile", "metric_files"]


@dataclass(frozen=True)
class MetricFile:
    """Say where a file is published and how it is recognised.

    Attributes:
        name: Its name there.
        sha256: Hash of the file.
        size: Its size in bytes.
        source: What it holds and whose it is.
        url: Where it can be downloaded; None for a file that can only be given to the cache.
    """

    name: str
    sha256: str
    size: int
    source: str
    url: str | None = None


def metric_files() -> dict[str, list[MetricFile]]:
    """Return the files of every installed metric that can be loaded and needs any: metric -> files, without torch."""
    from srbench.registry import get_metric, list_metrics

    found: dict[str, list[MetricFile]] = {}
    for name in list_metrics():
        try:
            files = getattr(get_metric(name), "files", ())
        except SRBenchError:
            continue  # a broken plugin hides no other; `srbench plugins doctor` reports it
        if files:
            found[name] = list(files)
    return found
