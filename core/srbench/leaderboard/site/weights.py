"""Source and licence of weights, as far as recorded."""

from __future__ import annotations

from srbench.results.records import Record

__all__ = ["weights_licence", "weights_source"]

NOT_RECORDED = "not recorded"


def weights_source(record: Record) -> str:
    """Return the source of the weights."""
    if record.training is not None:
        return "trained here"
    return (record.weights.url if record.weights else "") or NOT_RECORDED


def weights_licence(record: Record) -> str:
    """Return the licence of the weights."""
    if record.training is not None:
        return "–"
    return (record.weights.licence if record.weights else "") or NOT_RECORDED
