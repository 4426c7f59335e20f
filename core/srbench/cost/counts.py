"""What a network costs by its shapes: multiply-accumulates, activations, memory, at two sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, prod

from srbench.cost import analytic
from srbench.cost.operators import Execution, on_meta, run
from srbench.cost.rules import CONVOLUTION, OTHER, PRODUCT
from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters, count_stored
from srbench.models.surgery import fold

__all__ = ["HD", "NTIRE_SIDE", "Cost", "Work", "cost_of", "lr_size", "work_at"]

# Papers count Multi-Adds for a 1280x720 SR image, whatever the scale; the NTIRE efficient-SR challenge takes a
# 256x256 LR image.
HD = (720, 1280)
NTIRE_SIDE = 256


@dataclass(frozen=True)
class Work:
    """What one image of a size takes. Where the LR size is fractional, so are the counts; they are rounded at the end.

    Attributes:
        height: Of the LR image, in pixels.
        width: Of the LR image.
        convolution: Multiply-accumulates of convolutions.
        product: Those of matrix products: linear layers, attention, colour transforms.
        other: Per-element work that fvcore adds to these (normalisation, adaptive averages, interpolation), by its
            estimates; no part of `macs`.
        synthesis: Multiply-accumulates that make weights, once for a forward pass and whatever its batch; no part of
            `macs`.
        analytic: How many of `macs` were found the same by the layers' formulas.
        activations: Elements of all convolutions' outputs.
        peak_bytes: The most that image, features and results take at one moment in float32, weights left out, and what
            a library needs inside an operator left out too.
    """

    height: Fraction
    width: Fraction
    convolution: Fraction
    product: Fraction
    other: Fraction
    synthesis: Fraction
    analytic: Fraction
    activations: Fraction
    peak_bytes: Fraction

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of the forward pass."""
        return round(self.convolution + self.product)


@dataclass(frozen=True)
class Cost:
    """What a network costs at one scale.

    Attributes:
        params: Parameters, each tensor once.
        stored: Numbers that its state dict holds.
        folded: Parameters after `srbench.fold`.
        hd: For a 1280x720 SR image.
        ntire: For a 256x256 LR image.
    """

    model: str
    scale: int
    params: int
    stored: int
    folded: int
    hd: Work
    ntire: Work


def lr_size(scale: int, output: tuple[int, int] = HD) -> tuple[Fraction, Fraction]:
    """Return height and width of the LR image of an SR image, exactly: 240 and 426 2/3 for 1280x720 at x3."""
    return Fraction(output[0], scale), Fraction(output[1], scale)


def cost_of(model: Backbone, scale: int | None = None) -> Cost:
    """Count what a network costs at a scale; nothing is computed, and the network stays as it is.

    Raises:
        ConfigError: The network lacks the scale, or has several and none was named.
        CostError: It executes an operator whose cost is not known, or cannot run without values.
    """
    scale = model.select_scale(scale)
    view = model if model.scales == (scale,) else model.at_scale(scale)
    shapes = on_meta(view)
    hd, ntire = _one_account(
        _work(shapes, scale, *lr_size(scale)), _work(shapes, scale, Fraction(NTIRE_SIDE), Fraction(NTIRE_SIDE))
    )
    return Cost(
        model=str(model.model_name) if model.model_name is not None else type(model).__name__,
        scale=scale,
        params=count_parameters(view),
        stored=count_stored(view),
        # Folded with its weights: a method's `fold` need not work without values, and may leave out what they say.
        folded=count_parameters(fold(view, scale)),
        hd=hd,
        ntire=ntire,
    )


def work_at(shapes: Backbone, scale: int, height: Fraction | int, width: Fraction | int) -> Work:
    """Return what one LR image of a size takes.

    No image has 426 2/3 columns. What it would take is read off the straight line between 426 and 427 columns (and so
    for rows): exact for a network whose work grows with the area, and a mean of the two for one that pads, pools or
    strides. What sees no image counts as synthesis here, though it grow with the size: one size does not tell.

    Args:
        shapes: A network of `operators.on_meta`.
        scale: The scale.
        height: LR pixels.
        width: LR pixels.

    Raises:
        CostError: As for `cost_of`; also where operators and the layers' formulas disagree.
    """
    return _work(shapes, scale, Fraction(height), Fraction(width))[0]


# What made weights: the module at work and the kind of operator -> multiply-accumulates, and elements of the outputs.
_Made = dict[tuple[str, str], tuple[Fraction, Fraction]]


def _work(shapes: Backbone, scale: int, height: Fraction, width: Fraction) -> tuple[Work, _Made]:
    total = dict.fromkeys(("convolution", "product", "other", "synthesis", "analytic", "activations"), Fraction())
    peak = Fraction()
    made: _Made = {}
    for rows, row_share in _neighbours(height):
        for columns, column_share in _neighbours(width):
            execution = run(shapes, scale, rows, columns)
            share = row_share * column_share
            for name, value in _counts(execution, shapes).items():
                total[name] += share * value
            peak += share * execution.peak_bytes
            for call in execution.calls:
                if call.synthesis and call.kind in (CONVOLUTION, PRODUCT):
                    key = (call.modules[-1] if call.modules else "", call.kind)
                    count, elements = made.get(key, (Fraction(), Fraction()))
                    made[key] = (count + share * call.count, elements + share * prod(call.output))
    return Work(height, width, peak_bytes=peak, **total), made


def _one_account(*works: tuple[Work, _Made]) -> list[Work]:
    """Return the same network's work at several sizes, what sees no image but grows with it as part of the MACs.

    Weights are made once whatever the size; features of a grid of coordinates, say, are not.
    """
    keys = {key for _, made in works for key in made}
    growing = [key for key in keys if len({made.get(key) for _, made in works}) > 1]
    found = []
    for work, made in works:
        for key in growing:
            count, elements = made.get(key, (Fraction(), Fraction()))
            convolves = key[1] == CONVOLUTION
            work = replace(
                work,
                convolution=work.convolution + (count if convolves else 0),
                product=work.product + (0 if convolves else count),
                synthesis=work.synthesis - count,
                activations=work.activations + (elements if convolves else 0),
            )
        found.append(work)
    return found


def _neighbours(size: Fraction) -> list[tuple[int, Fraction]]:
    low, high = floor(size), ceil(size)
    return [(low, Fraction(1))] if low == high else [(low, high - size), (high, size - low)]


def _counts(execution: Execution, model: Backbone) -> dict[str, int]:
    synthesis = sum(execution.total(kind, synthesis=True) for kind in (CONVOLUTION, PRODUCT))
    return {
        "convolution": execution.total(CONVOLUTION),
        "product": execution.total(PRODUCT),
        "other": execution.total(OTHER),
        "synthesis": synthesis,
        "analytic": analytic.check(execution),
        "activations": execution.activations,
    }
