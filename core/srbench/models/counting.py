"""Parameter counts that understand shared weights."""

from __future__ import annotations

from torch import nn

__all__ = ["count_parameters", "count_stored"]


def count_parameters(model: nn.Module) -> int:
    """Count the numbers in a network's parameters, each tensor once however many layers use it; frozen ones count."""
    return sum(parameter.numel() for parameter in {id(p): p for p in model.parameters()}.values())


def count_stored(model: nn.Module) -> int:
    """Count the numbers that the network's state dict stores, a tensor under two keys twice."""
    return sum(tensor.numel() for tensor in model.state_dict().values())
