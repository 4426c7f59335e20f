"""Parameter counts that account for shared weights."""

from __future__ import annotations

from torch import nn

__all__ = ["count_parameters", "count_stored"]


def count_parameters(model: nn.Module) -> int:
    """Count a network's parameters, frozen ones included; a tensor shared by several layers counts once."""
    return sum(parameter.numel() for parameter in {id(p): p for p in model.parameters()}.values())


def count_stored(model: nn.Module) -> int:
    """Count the values in the network's state dict; a tensor under two keys counts twice."""
    return sum(tensor.numel() for tensor in model.state_dict().values())
