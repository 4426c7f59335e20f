"""A second way of counting: from a layer's attributes and its input and output shapes, not from its operators."""

from __future__ import annotations

from math import prod

from torch import nn

from srbench.cost.operators import Execution
from srbench.cost.rules import CONVOLUTION, PRODUCT
from srbench.errors import CostError

__all__ = ["check", "layer_macs"]

_DESCRIPTION = ("in_channels", "out_channels", "kernel_size", "groups")


def layer_macs(layer: nn.Module, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int | None:
    """Return the multiply-accumulates of a layer by its formula; None for modules without a formula.

    A convolution of `k_h * k_w` kernels from `i` to `o` channels in `g` groups takes `i * o * k_h * k_w / g` for each
    position of its output, a transposed one for each position of its input; a linear layer `i * o` for each row.
    Layers that take their weights from elsewhere, such as those of a sharing method, are counted by the same
    attributes. A kernel size given as one number is square.

    Args:
        layer: The module.
        inputs: Shape of its input `(N, C, H, W)`, or `(..., i)`.
        outputs: Shape of its output.
    """
    if isinstance(layer, nn.Linear):
        return prod(inputs[:-1]) * layer.in_features * layer.out_features
    entering, leaving, kernel, groups = (getattr(layer, name, None) for name in _DESCRIPTION)
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    if len(inputs) != 4 or len(outputs) != 4 or not isinstance(kernel, list | tuple):
        return None
    # A module of another kind may have attributes of these names too.
    if not all(isinstance(value, int) and value > 0 for value in (entering, leaving, groups, *kernel)):
        return None
    # Layers whose kernel is generated keep the options of the convolution that they replace.
    told = getattr(getattr(layer, "options", layer), "transposed", False)
    transposed = isinstance(layer, nn.ConvTranspose2d) or told is True
    height, width = (inputs if transposed else outputs)[2:]
    return int(inputs[0] * height * width * prod(kernel) * (entering * leaving // groups))  # type: ignore[operator]


def check(execution: Execution) -> int:
    """Compare the operators of each layer with its formula; return how many of the MACs the formulas cover.

    Raises:
        CostError: A layer's operators take more or less than its formula says.
    """
    counted: dict[int, int] = {}
    for call in execution.calls:
        if call.kind in (CONVOLUTION, PRODUCT) and not call.synthesis:
            counted[call.number] = counted.get(call.number, 0) + call.count
    covered = 0
    for path, number, layer, inputs, outputs in execution.layers:
        # A module that delegates its work to submodules is counted through these, whatever its attributes are.
        expected = layer_macs(layer, inputs, outputs) if number in counted else None
        if expected is None:
            continue
        if counted[number] != expected:
            raise CostError(
                f"the layer '{path}' executes {counted[number]:,} multiply-accumulates, and by its attributes it "
                f"should be {expected:,}; check its in_channels, out_channels, kernel_size and groups"
            )
        covered += expected
    return covered
