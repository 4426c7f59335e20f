"""Where weights come from and under which licence, as far as a record says."""

from __future__ import annotations

from srbench.results.records import Record

__all__ = ["weights_licence", "weights_source"]

NOT_RECORDED = "not recorded"


def weights_source(record: Record) -> str:
    """Return where the weights are from."""
    if record.training is not None:
        return "trained here"
    return (record.weights.url if record.weights else "") or NOT_RECORDED


def weights_licence(record: Record) -> str:
    """Return the licence of the weights."""
    if record.training is not None:
        return "–"
    return (record.weights.licence if record.weights else "") or NOT_RECORDED
