"""Short names for tables and pictures, and how metrics are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from srbench.results.records import MetricKind, Record

__all__ = ["Style", "in_order", "short_names", "style"]


@dataclass(frozen=True)
class Style:
    """How a metric is written: its title, its unit, its decimals, those of a difference, and which way is better."""

    title: str
    unit: str
    decimals: int
    fine: int
    higher_is_better: bool = True

    @property
    def heading(self) -> str:
        """Return the title with a mark where, against the habit, lower is better."""
        return self.title if self.higher_is_better else f"{self.title} ↓"

    @property
    def sign(self) -> int:
        """Return 1 where higher is better, else -1: a figure times its sign is better the higher it is."""
        return 1 if self.higher_is_better else -1


# In the order in which metrics are shown.
STYLES = {
    "psnr": Style("PSNR", "dB", 2, 3),
    "ssim": Style("SSIM", "", 4, 4),
    "psnr_y": Style("PSNR", "dB", 2, 3),
    "ssim_y": Style("SSIM", "", 4, 4),
    "psnr_rgb": Style("PSNR (RGB)", "dB", 2, 3),
    "ssim_rgb": Style("SSIM (RGB)", "", 4, 4),
    "lpips": Style("LPIPS", "", 4, 4, higher_is_better=False),
    "niqe": Style("NIQE", "", 3, 3, higher_is_better=False),
}


def style(metric: str, kind: MetricKind | None = None) -> Style:
    """Return how a metric is written; one that is not known here by its own name, as its kind says."""
    if metric in STYLES:
        return STYLES[metric]
    kind = kind or MetricKind()
    return Style(metric, kind.unit, 2 if kind.unit == "dB" else 4, 3 if kind.unit == "dB" else 4, kind.higher_is_better)


# Protocols by whose color records of before schema version 3 are ranked: they do not name their primary metric.
_EARLIER = {"ntire": "psnr_rgb"}


def in_order(metrics: Iterable[str], records: Iterable[Record]) -> list[str]:
    """Return the metrics of a board as they are shown: the one that decides its ranks, then the usual ones.

    The protocol decides it, as the records say; where it was not measured, it is the first of the usual ones.
    """
    there = set(metrics)
    order = [name for name in STYLES if name in there] + sorted(there.difference(STYLES))
    named = Counter(
        metric
        for record in records
        if (metric := record.primary_metric or _EARLIER.get(record.protocol.partition("+")[0], "")) in there
    )
    first = [name for name, _ in sorted(named.items(), key=lambda item: (-item[1], item[0]))][:1]
    return first + [name for name in order if name not in first]


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
