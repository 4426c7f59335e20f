"""Metrics: each is a pure NumPy function and an object that registers it under a name."""

from srbench.metrics.base import Metric, check_pair, check_values, crop, prepare
from srbench.metrics.comparison import Comparison

__all__ = ["Comparison", "Metric", "check_pair", "check_values", "crop", "prepare"]
