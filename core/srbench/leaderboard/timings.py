"""Times and peak memory of a board's models, as tables and pages show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from srbench.leaderboard.ntire_score import BASELINE, SCALE, YEAR, ntire_score
from srbench.results.latency_records import LatencyRun, TimedNetwork
from srbench.results.records import Record

__all__ = ["ShownTiming", "csv_timings", "timing_note", "timings_of"]


@dataclass(frozen=True)
class ShownTiming:
    """The time of one model on one machine.

    Attributes:
        milliseconds: Median time of a forward pass.
        low: First quartile in milliseconds.
        high: Third quartile.
        passes: How many there were.
        peak_mib: Peak memory in MiB; None where it was not measured.
        random_masks: Whether masks were random, so that the time is not that of the trained network.
        score: The NTIRE score; None where an input is missing.
    """

    milliseconds: float
    low: float
    high: float
    passes: int
    peak_mib: float | None
    random_masks: bool
    score: float | None = None

    @property
    def text(self) -> str:
        """Return the median in milliseconds, with three significant digits or all before the point."""
        value = self.milliseconds
        return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"

    @property
    def spread(self) -> str:
        """Return the quartiles, and what a reader must know."""
        digits = 0 if self.milliseconds >= 100 else 1 if self.milliseconds >= 10 else 2
        text = f"{self.low:,.{digits}f} to {self.high:,.{digits}f}"
        return f"{text}, random masks" if self.random_masks else text

    @property
    def memory(self) -> str:
        """Return the peak memory in MiB."""
        return "–" if self.peak_mib is None else f"{self.peak_mib:,.0f}"


def timings_of(runs: Iterable[LatencyRun], records: dict[str, Record], scale: int) -> list[dict[str, ShownTiming]]:
    """Return model -> time, for each run of a scale.

    Args:
        runs: Runs of this scale.
        records: Model -> a record of it on the board.
        scale: The board's scale.
    """
    return [
        {
            model: _shown(run, run.networks[model], record, records, scale)
            for model, record in records.items()
            if model in run.networks and run.networks[model].complete
        }
        for run in runs
    ]


def _shown(run: LatencyRun, of: TimedNetwork, record: Record, records: dict[str, Record], scale: int) -> ShownTiming:
    low, high = of.quartiles
    return ShownTiming(
        milliseconds=1000 * of.median,
        low=1000 * low,
        high=1000 * high,
        passes=len(of.seconds),
        peak_mib=None if of.peak_bytes is None else of.peak_bytes / 2**20,
        random_masks=of.random_masks,
        score=_score(run, of, record, records.get(BASELINE)) if scale == SCALE else None,
    )


def _score(run: LatencyRun, of: TimedNetwork, record: Record, baseline: Record | None) -> float | None:
    """Return the NTIRE score of a model; None where an input is missing, or masks were random."""
    base = run.networks.get(BASELINE)
    if baseline is None or base is None or not base.complete or of.random_masks:
        return None
    work, base_work = (one.cost.macs_256 if one.cost is not None else None for one in (record, baseline))
    params, base_params = (one.params_deployed or one.params_unique for one in (record, baseline))
    if not work or not base_work or not params or not base_params:
        return None
    return ntire_score(of.median / base.median, work / base_work, params / base_params)


def timing_note(run: LatencyRun) -> str:
    """Say on which machine and how times were taken."""
    width, height = run.output
    return (
        f"Time: median of forward passes on {run.where}; batch 1, {width}x{height} output (LR image "
        f"{run.lr[0]}x{run.lr[1]}), networks in turns in random order. Times of another machine differ. NTIRE score: "
        f"the formula of the {YEAR} challenge with the times of this machine, not the challenge's own."
    )


def csv_timings(timings: dict[int, ShownTiming], runs: list[LatencyRun]) -> dict[str, object]:
    """Return the columns of `leaderboard.csv` on times; those of a second machine or type end in `_2`."""
    cells: dict[str, object] = {}
    for index, of in timings.items():
        ending = f"_{index + 1}" if index else ""
        values = {
            "latency_ms": of.milliseconds,
            "latency_low_ms": of.low,
            "latency_high_ms": of.high,
            "latency_passes": of.passes,
            "peak_memory_mib": of.peak_mib,
            "latency_on": runs[index].where,
            "latency_random_masks": True if of.random_masks else None,
            f"ntire_{YEAR}_score": of.score,
        }
        cells |= {name + ending: value for name, value in values.items() if value is not None}
    return cells
