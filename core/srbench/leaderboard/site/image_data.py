"""The values of single images, as a script that a page loads on demand."""

from __future__ import annotations

import json
import math
from typing import Any

from srbench.leaderboard.entries import Board, Entry, Value
from srbench.leaderboard.rendering import interval_text, number, signed
from srbench.leaderboard.short_names import Style
from srbench.leaderboard.site.places import BoardPlace
from srbench.leaderboard.site.table import Row, Table

__all__ = ["data_script"]

DIGITS = 5  # decimals of values of single images
FULL = 6  # decimals of means given in full


def data_script(place: BoardPlace, board: Board, table: Table) -> str:
    """Return the script, which only passes an object to the page.

    It is a script rather than JSON because a page opened from disk may not read other files.
    """
    images = {
        dataset.label: sorted({str(name) for entry in board.entries for name in _index(entry, dataset.label)})
        for dataset in board.datasets
    }
    rows = {row.id: _row(board, row, images) for row in table.rows if row.entry is not None}
    value = {
        "datasets": [{"label": label, "images": names} for label, names in images.items()],
        "metrics": [
            {
                "title": how.title,
                "unit": how.unit,
                "decimals": how.fine,
                "sign": how.sign,
            }
            for how in map(board.style, board.metrics)
        ],
        "rows": rows,
    }
    # ASCII only, without characters that could end a script element.
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return f"srbenchData({json.dumps(place.name)},{text});\n"


def _index(entry: Entry, label: str) -> list[object]:
    return list(entry.images[label].names) if label in entry.images else []


def _row(board: Board, row: Row, images: dict[str, list[str]]) -> dict[str, Any]:
    entry = row.entry
    assert entry is not None
    return {
        "name": entry.label,
        "values": [
            [_values(entry, label, metric, names) for metric in board.metrics] for label, names in images.items()
        ],
        "figures": [
            [label, *_figure(entry, value, board.style(metric))]
            for label in images
            for metric in board.metrics
            if (value := entry.values.get((label, metric))) is not None
        ],
        "facts": _facts(entry),
    }


def _values(entry: Entry, label: str, metric: str, names: list[str]) -> list[float | str | None]:
    values = entry.images.get(label)
    if values is None or metric not in values:
        return []
    column, own = values[metric].tolist(), list(map(str, values.names))
    if own != names:
        known = dict(zip(own, column, strict=True))
        column = [known.get(name, math.nan) for name in names]
    return [_plain(value) for value in column]


def _plain(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return round(value, DIGITS) if math.isfinite(value) else str(value)


def _figure(entry: Entry, value: Value, how: Style) -> list[str]:
    """Return metric, mean, interval of the mean, difference to the first with its interval, spread over seeds."""
    mean = value.interval
    low_high = "–" if math.isnan(mean.low) else f"{number(mean.low, how.fine)} to {number(mean.high, how.fine)}"
    to_first = "–"
    if value.to_best is not None and entry.rank is not None and not entry.is_first:
        to_first = f"{signed(value.to_best.mean, FULL)} ({interval_text(value.to_best, how.fine + 1)})"
    title = how.heading + (f" ({how.unit})" if how.unit else "")
    return [title, number(mean.mean, FULL), low_high, to_first, number(value.spread, FULL)]


def _facts(entry: Entry) -> list[list[str]]:
    record, cost = entry.record, entry.record.cost
    facts = [["Model", record.model]]
    counts = [
        ("Parameters", record.params_unique),
        ("Deployed", record.params_deployed),
        ("MACs at 1280×720", cost.macs if cost else None),
        ("MACs executed", cost.macs_executed if cost else None),
        ("Activations", cost.activations if cost else None),
    ]
    facts += [[name, f"{value:,}"] for name, value in counts if value is not None]
    if record.weights_sha256:
        facts.append(["Weights, SHA-256", record.weights_sha256])
    facts += [[f"Key, {label}", of.key] for label, of in entry.records.items()]
    return facts
