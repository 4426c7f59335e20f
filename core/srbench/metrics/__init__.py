"""Metrics: a pure numpy function each, and an object around it that the registry knows by name."""

from srbench.metrics.base import Metric, check_images, check_pair, check_values, crop, prepare

__all__ = ["Metric", "check_images", "check_pair", "check_values", "crop", "prepare"]
