"""Short model names for tables and charts, and styles of metrics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from srbench.results.records import MetricKind, Record, RunInfo

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


# A model's name as suites write it, without white space: backbone and method, then arguments, then a tag.
_WRITTEN = re.compile(r"([A-Za-z]\w*(?:\+[A-Za-z]\w*)?)(\(.*\))?(?:\.[A-Za-z0-9][\w.-]*)?")
_KEY = re.compile(r"[(,]([A-Za-z]\w*)=")


def short_names(records: Sequence[Record], info: RunInfo | None = None) -> dict[str, str]:
    """Return canonical name -> short name of the same model.

    Arguments that are equal in all models of a backbone and method are left out of tagged models, whose tag fixes them,
    and elsewhere if they are known to be defaults (`_defaults`). Names that would become equal are left unchanged.

    Args:
        records: A record of each model of a board.
        info: The run's description; without it no default is known.
    """
    by_kind: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        by_kind.setdefault((record.backbone, record.method), []).append(record)
    short: dict[str, str] = {}
    for (backbone, method), members in by_kind.items():
        name = backbone if method is None else f"{backbone}+{method}"
        keys = sorted({key for record in members for key in record.args})
        telling = {key for key in keys if len({record.args.get(key) for record in members}) > 1}
        untagged = telling | ({*keys} - _defaults(name, members, info))
        for record in members:
            shown = telling if record.tag else untagged
            args = ",".join(f"{key}={record.args[key]}" for key in keys if key in shown and key in record.args)
            short[record.model] = name + (f"({args})" if args else "") + (f".{record.tag}" if record.tag else "")
    count = Counter(short.values())
    return {model: name if count[name] == 1 else model for model, name in short.items()}


def _defaults(name: str, members: Iterable[Record], info: RunInfo | None) -> set[str]:
    """Return arguments that have their defaults in every model of a backbone and method that share their values.

    Only the method's class knows its defaults, and results are shown without it. But a suite that names a model without
    an argument means its default: where all that the suite names was measured, a value that all models share is that.

    Args:
        name: `BACKBONE` or `BACKBONE+METHOD`.
        members: A record of each model of that name.
        info: What `run.json` says.
    """
    entries = [] if info is None else info.definition.get("models", [])
    if info is None or info.planned is None or not isinstance(entries, list):
        return set()
    written: list[str] = []
    for entry in entries:
        text = "".join(str(entry.get("model", "") if isinstance(entry, dict) else entry).split())
        match = _WRITTEN.fullmatch(text)
        if match is None:
            return set()  # a distribution or a library in the name: which of the planned models it is cannot be seen
        if text == name + (match[2] or ""):
            written.append(text)
    planned = {model for model in info.planned.models if model == name or re.match(rf"{re.escape(name)}\(.*\)$", model)}
    # Of a run with `--models`, some of what is written was not planned.
    if len(written) != len(planned) or not planned <= {record.model for record in members}:
        return set()
    named = [set(_KEY.findall(text)) for text in written]
    return {key for record in members for key in record.args if any(key not in keys for keys in named)}
