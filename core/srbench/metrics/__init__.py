"""Metrics: a pure numpy function each, and an object around it that the registry knows by name."""

from srbench.metrics.base import Metric, check_pair, check_values, crop, prepare
from srbench.metrics.comparison import Comparison

__all__ = ["Comparison", "Metric", "check_pair", "check_values", "crop", "prepare"]
