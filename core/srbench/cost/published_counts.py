"""Published parameter and MAC counts that differ from ours, and how they were counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import floor
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from srbench.cost.counts import HD, Cost, work_at
from srbench.cost.operators import on_meta
from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters

__all__ = ["PublishedCount", "Rule", "published_counts", "published_for"]


@dataclass(frozen=True)
class Rule:
    """A way of counting.

    Attributes:
        words: What is counted, as the end of the sentence "It counts ..."; empty if that is not known.
        count: Returns parameters or MACs of a network at a scale, counted this way; None if that is not known.
        ours: What our own count of the same quantity is called.
        rounding: How many thousands of parameters are printed of it.
    """

    words: str
    count: Callable[[Backbone, int, Cost], float] | None
    ours: str
    rounding: Callable[[float], float] = round


@dataclass(frozen=True)
class PublishedCount:
    """A published count.

    Attributes:
        model: The model, without a tag.
        scale: The scale.
        printed: The figure as it is printed; empty if only the way of counting is known.
        unit: `G MACs` or `k parameters`.
        source: Where it is printed.
        rule: How it was counted.
    """

    model: str
    scale: int
    printed: str
    unit: str
    source: str
    rule: Rule

    def counted(self, network: Backbone, cost: Cost) -> str | None:
        """Return what the rule gives for a network, with as many decimals as are printed; None without a rule."""
        if self.rule.count is None:
            return None
        value = self.rule.count(network, self.scale, cost)
        if self.unit == "k parameters":
            return str(int(self.rule.rounding(value / 1e3)))
        return f"{value / 1e9:.{len(self.printed.partition('.')[2]) if self.printed else 2}f}"

    def sentence(self, network: Backbone, cost: Cost) -> str:
        """Return the published figure, how it was counted if that is known, and what the same rule gives here."""
        ours = {
            "MACs, 1280x720 out": f"{cost.hd.macs / 1e9:,.2f} G",
            "MACs, 256x256 in": f"{cost.ntire.macs / 1e9:,.3f} G",
            "parameters": f"{cost.params:,}",
        }[self.rule.ours]
        counted = self.counted(network, cost)
        how = "; how it was counted is not known"
        if counted is not None:
            how = f", which counts {self.rule.words}; counted this way here: {counted}"
        figure = f"published {self.printed} {self.unit}" if self.printed else f"published count in {self.unit}"
        return f"{self.model} x{self.scale}: {figure} ({self.source}){how}; {self.rule.ours}: {ours}"


def _at_640x360(network: Backbone, scale: int, cost: Cost) -> float:
    return work_at(on_meta(network), scale, 360, 640).macs


def _with_prelu(network: Backbone, scale: int, cost: Cost) -> float:
    elements = 0

    def add(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal elements
        elements += output.numel()

    meta = on_meta(network)
    hooks = [module.register_forward_hook(add) for module in meta.modules() if isinstance(module, nn.PReLU)]
    try:
        with torch.no_grad():
            meta(torch.empty(1, 3, HD[0] // scale, HD[1] // scale, device="meta"), scale)
    finally:
        for hook in hooks:
            hook.remove()
    return cost.hd.macs + elements


class _ActivationElements(TorchDispatchMode):
    """Counts the elements that ReLU and LeakyReLU return, as layers or as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__.rstrip("_") in ("relu", "leaky_relu"):
            self.number += result.numel()
        return result


def _with_activations(network: Backbone, scale: int, cost: Cost) -> float:
    with torch.no_grad(), _ActivationElements() as elements:
        on_meta(network)(torch.empty(1, 3, 256, 256, device="meta"), scale)
    return float(cost.ntire.macs + elements.number)


def _without_biases(network: Backbone, scale: int, cost: Cost) -> float:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.dim() > 1)


def _without_position_biases(network: Backbone, scale: int, cost: Cost) -> float:
    tables = (tensor for name, tensor in network.named_parameters() if "position_bias" in name)
    return count_parameters(network) - sum(tensor.numel() for tensor in tables)


_HD, _NTIRE, _PARAMETERS = "MACs, 1280x720 out", "MACs, 256x256 in", "parameters"

RULES = {
    "lr_640x360": Rule("an LR image of 640x360 at every scale", _at_640x360, _HD),
    "prelu": Rule("one MAC for every element of a PReLU", _with_prelu, _HD),
    "per_element": Rule(
        "normalization, pooling and interpolation as fvcore does",
        lambda network, scale, cost: float(cost.hd.macs + cost.hd.other),
        _HD,
    ),
    "per_element_256x256": Rule(
        "normalization, pooling and interpolation as fvcore does, at a 256x256 input",
        lambda network, scale, cost: float(cost.ntire.macs + cost.ntire.other),
        _NTIRE,
    ),
    "activations_256x256": Rule(
        "one operation for every element of a ReLU or LeakyReLU, at a 256x256 input", _with_activations, _NTIRE
    ),
    "427_columns": Rule(
        "427 columns of the LR image at x3, not 426 2/3",
        lambda network, scale, cost: work_at(on_meta(network), scale, 240, 427).macs,
        _HD,
    ),
    "unknown": Rule("", None, _HD),
    "no_position_biases": Rule("no position biases of attention", _without_position_biases, _PARAMETERS),
    "truncated": Rule(
        "whole thousands, truncated", lambda network, scale, cost: count_parameters(network), _PARAMETERS, floor
    ),
    "no_biases": Rule("weights without biases, truncated to thousands", _without_biases, _PARAMETERS, floor),
}


@cache
def published_counts() -> tuple[PublishedCount, ...]:
    """Return all of them."""
    text = resources.files("srbench.cost").joinpath("published_counts.json").read_text(encoding="utf-8")
    return tuple(
        PublishedCount(entry["model"], int(scale), printed, entry["unit"], entry["source"], RULES[entry["rule"]])
        for entry in json.loads(text)["counts"]
        for scale, printed in entry["published"].items()
    )


def published_for(model: str, scale: int) -> list[PublishedCount]:
    """Return the published counts of a model, given by its canonical name without a tag."""
    return [one for one in published_counts() if (one.model, one.scale) == (model, scale)]
