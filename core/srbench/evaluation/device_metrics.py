"""Metrics computed on a GPU, where they would otherwise take longer on the CPU than the network takes on the GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from srbench.evaluation.device_lpips import LPIPS_TOLERANCE, DeviceLPIPS
from srbench.evaluation.device_niqe import NIQE_TOLERANCE, DeviceNIQE
from srbench.metrics.base import Metric
from srbench.metrics.lpips.metric import LPIPS
from srbench.metrics.niqe.metric import NIQE

__all__ = ["DEVICE_TOLERANCE", "metrics_for"]

DEVICE_TOLERANCE: Mapping[str, float] = {LPIPS.name: LPIPS_TOLERANCE, NIQE.name: NIQE_TOLERANCE}
"""Largest difference of an image's value from the CPU's, by metric."""


def metrics_for(metrics: Sequence[Metric], device: str) -> tuple[list[Metric], list[str]]:
    """Return the metrics to compute for a network on a device, and the names of those that are computed there.

    Args:
        metrics: Metrics that compute on the CPU.
        device: `cpu`, `cuda` or `cuda:N`.
    """
    if not device.startswith("cuda"):
        return list(metrics), []
    chosen = [_on(device, metric) for metric in metrics]
    return chosen, [metric.name for metric in chosen if isinstance(metric, DeviceLPIPS | DeviceNIQE)]


def _on(device: str, metric: Metric) -> Metric:
    # Subclasses are others' metrics, and stay where they are.
    if type(metric) is LPIPS:
        return DeviceLPIPS(device)
    if type(metric) is NIQE:
        return DeviceNIQE(device)
    return metric
