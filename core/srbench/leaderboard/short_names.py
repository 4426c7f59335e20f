"""Short model names for tables and charts, and styles of metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from srbench.results.records import MetricKind, Record

__all__ = ["Style", "in_order", "short_names", "style"]


@dataclass(frozen=True)
class Style:
    """The style of a metric: title, unit, decimals of values and differences, and whether higher is better."""

    title: str
    unit: str
    decimals: int
    fine: int
    higher_is_better: bool = True

    @property
    def heading(self) -> str:
        """The title, marked with an arrow if lower is better."""
        return self.title if self.higher_is_better else f"{self.title} ↓"

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1, so that a figure times the sign is better if higher."""
        return 1 if self.higher_is_better else -1


# In the order of display.
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
    """Return the style of a metric; one that is not listed here has its own name, with the unit of its kind."""
    if metric in STYLES:
        return STYLES[metric]
    kind = kind or MetricKind()
    return Style(metric, kind.unit, 2 if kind.unit == "dB" else 4, 3 if kind.unit == "dB" else 4, kind.higher_is_better)


# Records before schema version 3 do not name their primary metric; for these protocols it follows from the color.
_EARLIER = {"ntire": "psnr_rgb"}


def in_order(metrics: Iterable[str], records: Iterable[Record]) -> list[str]:
    """Return the metrics of a board in the order of display: the one that ranks first, then the usual ones.

    The records name the metric that ranks under their protocol; if it was not measured, the first of the usual ones
    ranks.
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
    """Return canonical name -> short name, without arguments that are equal in all models of a backbone and method.

    Names that would become equal are left unchanged.
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
