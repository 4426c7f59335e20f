"""Sharing sites: the places in a network where a sharing method may be applied."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BIAS_POLICIES", "BlockSpec", "SharingSite"]

BIAS_POLICIES = ("own", "per_scale", "tied", "none")


@dataclass(frozen=True)
class BlockSpec:
    """Name the parts of a site of kind `block`.

    Attributes:
        convs: Paths of the block's convolutions in execution order, relative to the block.
        splits: For each convolution, the number of channels split off after it (0 if none), as in IMDN.
        gather: Path of the layer that merges the parts, relative to the block; "" if there is none.
        mask_input: Path of the module whose input a mask predictor takes; "" means the block's own input.
    """

    convs: tuple[str, ...]
    splits: tuple[int, ...] = ()
    gather: str = ""
    mask_input: str = ""


@dataclass(frozen=True)
class SharingSite:
    """Describe one *use* of a layer in an unrolled network.

    Attributes:
        path: Dotted path of the module, e.g. `body.3.conv1`.
        kind: `conv`, `tconv` (transposed convolution) or `block`. The layers in a block may be sites too: a method
            uses either the block or its layers.
        bank: Sites with the same value may share one bank of weights (EDSR: all 32 convs). None: the layer belongs to
            no bank; only methods without a bank, such as `dense` and `recursive`, apply to it.
        tie: Sites with the same value are one layer in the recursive network (EDSR: conv1s, conv2s).
        step: Position of the use in the unrolled recurrence: time step, block, level.
        companions: Paths of modules that are tied and untied together with the site (SRFBN's PReLU of each step).
        parts: For `block` sites, what the block consists of.
        place: The convolution's position in its block, counted from 1; 0 if it does not matter.
        adjoint: Sites of kind `conv` and `tconv` with the same value may share a kernel: the transposed convolution is
            then the adjoint of a convolution whose `step` begins with its own. None: the site does not share one.
        scales: The scales at which a multi-scale network uses the site (a level of a pyramid); None: all.
        bias: The layer's bias when its weight comes from a bank: its `own`; one `per_scale` (CARN); one `tied` with
            the layers of its tie class; `none` (SRFBN). A layer without a bias has none in any case.
    """

    path: str
    kind: str
    bank: str | None
    tie: str
    step: tuple[int, ...] = ()
    companions: tuple[str, ...] = ()
    parts: BlockSpec | None = None
    bias: str = "own"
    place: int = 0
    adjoint: str | None = None
    scales: tuple[int, ...] | None = None
