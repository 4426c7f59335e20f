"""Short names for tables and pictures, and how metrics are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from srbench.results import Record

__all__ = ["Style", "short_names", "style"]


@dataclass(frozen=True)
class Style:
    """How a metric is written: its title, its unit, its decimals, and those of a difference."""

    title: str
    unit: str
    decimals: int
    fine: int


STYLES = {
    "psnr_y": Style("PSNR", "dB", 2, 3),
    "ssim_y": Style("SSIM", "", 4, 4),
}


def style(metric: str) -> Style:
    """Return how a metric is written; one that is not known here is written by its own name, with four decimals."""
    return STYLES.get(metric, Style(metric, "", 4, 4))


def short_names(records: Sequence[Record]) -> dict[str, str]:
    """Return canonical name -> a shorter one: arguments that all models of one backbone and method share are left out.

    Names that would no longer differ stay as they are.
    """
    by_kind: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        by_kind.setdefault((record.backbone, record.method), []).append(record)
    short: dict[str, str] = {}
    for (backbone, method), members in by_kind.items():
        keys = sorted({key for record in members for key in record.args})
        telling = [key for key in keys if len({record.args.get(key) for record in members}) > 1]
        for record in members:
            args = ",".join(f"{key}={record.args[key]}" for key in telling if key in record.args)
            name = backbone if method is None else f"{backbone}+{method}"
            short[record.model] = name + (f"({args})" if args else "") + (f".{record.tag}" if record.tag else "")
    count = Counter(short.values())
    return {model: name if count[name] == 1 else model for model, name in short.items()}
