"""Figures that a measurement should give, as a user writes them: `psnr_y=32.25@Set5`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from srbench.errors import ConfigError, UnknownNameError, suggest

__all__ = ["METRICS", "Expectation"]

METRICS = ("psnr", "psnr_rgb", "psnr_y", "ssim", "ssim_rgb", "ssim_y")
"""Metrics whose figures can be expected; `psnr` and `ssim` compare what the protocol compares."""

SSIM_TOLERANCE = 0.00005
"""Half a unit of the fourth decimal, to which papers print SSIM."""

_SHAPE = re.compile(r"(?P<metric>[^=@]+)=(?P<value>[^@]+)(?:@(?P<data>.+))?")
# Decimal fractions such as 32.255 have no exact binary value.
_SLACK = 1e-9


@dataclass(frozen=True)
class Expectation:
    """A figure that a measurement should give.

    Attributes:
        metric: One of `METRICS`.
        value: In dB for PSNR.
        data: Name or folder of the data set.
        tolerance: How far a mean may be off.
    """

    metric: str
    value: float
    data: str
    tolerance: float

    @classmethod
    def parse(cls, text: str, data: str | None = None, psnr_tolerance: float = 0.005) -> Expectation:
        """Read `METRIC=VALUE[@DATA]`.

        A figure with few decimals is met by every mean that rounds to it.

        Args:
            text: The expectation.
            data: The data set where the text names none.
            psnr_tolerance: How far a mean PSNR may be off, in dB.

        Raises:
            ConfigError: The text has another form, or no data set is known.
            UnknownNameError: The metric is unknown.
        """
        found = _SHAPE.fullmatch(text.strip())
        if found is None:
            raise ConfigError(f"--expect takes METRIC=VALUE@DATA, e.g. psnr_y=32.25@Set5; got '{text}'")
        metric, number = found["metric"].strip(), found["value"].strip()
        if metric not in METRICS:
            raise UnknownNameError(f"--expect: unknown metric '{metric}'" + suggest(metric, METRICS, noun="known"))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        upper = 1.0 if metric.startswith("ssim") else 100.0
        if not 0 < value <= upper:
            unit = "a number above 0, at most 1" if metric.startswith("ssim") else "dB above 0, at most 100"
            raise ConfigError(f"--expect: {metric} is {unit}; got '{number}'")
        of = found["data"] or data
        if of is None:
            raise ConfigError(f"--expect '{text}' names no data set; write '{text}@Set5', or give --data")
        least = SSIM_TOLERANCE if metric.startswith("ssim") else psnr_tolerance
        return cls(metric, value, of.strip(), max(least, 0.5 * 10.0 ** -_decimals(number)))

    @property
    def label(self) -> str:
        """The expectation as it is shown, such as `psnr_y on Set5`."""
        return f"{self.metric} on {self.data}"

    def excess(self, mean: float) -> float:
        """Return how far a mean is off beyond the tolerance, in tolerances; 0 if it agrees."""
        return max(0.0, abs(mean - self.value) - self.tolerance - _SLACK) / self.tolerance

    def agrees(self, mean: float) -> bool:
        """Say whether a mean is within the tolerance."""
        return self.excess(mean) == 0


def _decimals(number: str) -> int:
    return len(number.partition(".")[2]) if re.fullmatch(r"[+]?\d*\.?\d*", number) else 12
