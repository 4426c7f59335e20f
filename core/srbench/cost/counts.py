"""A network's cost computed from shapes: multiply-accumulates, activations and memory, at two sizes."""

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
    """The work for one image of a given size. For a fractional LR size counts are fractional, and rounded at the end.

    Attributes:
        height: Height of the LR image in pixels.
        width: Width of the LR image.
        convolution: Multiply-accumulates of convolutions.
        product: Multiply-accumulates of matrix products: linear layers, attention, color transforms.
        other: Per-element work that fvcore also counts (normalization, adaptive pooling, interpolation), by its
            estimates; not part of `macs`.
        synthesis: Multiply-accumulates that generate weights, once per forward pass for any batch size; not part of
            `macs`.
        analytic: How many of `macs` are confirmed by the layers' formulas.
        activations: Elements of all convolutions' outputs.
        peak_bytes: Peak size of image, features and results in float32, without weights and without what libraries
            need inside an operator.
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
        """Multiply-accumulates of the forward pass."""
        return round(self.convolution + self.product)


@dataclass(frozen=True)
class Cost:
    """A network's cost at one scale.

    Attributes:
        params: Number of parameters, each tensor counted once.
        stored: Number of values in its state dict.
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
    """Return the exact height and width of an SR image's LR image: 240 and 426 2/3 for 1280x720 at x3."""
    return Fraction(output[0], scale), Fraction(output[1], scale)


def cost_of(model: Backbone, scale: int | None = None) -> Cost:
    """Count a network's cost at a scale, without computing anything or changing the network.

    Raises:
        ConfigError: The network lacks the scale, or has several and none was named.
        CostError: It executes an operator without a rule, or cannot run on the meta device.
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
    """Return the work for one LR image of a given size.

    No image has 426 2/3 columns, so the work is interpolated linearly between 426 and 427 columns (and likewise for
    rows). This is exact if the work is proportional to the area, and a weighted mean if the network pads, pools or
    strides. Operators that do not depend on the image count as synthesis here even if their work grows with the size,
    which cannot be seen at a single size.

    Args:
        shapes: A network of `operators.on_meta`.
        scale: The scale.
        height: LR pixels.
        width: LR pixels.

    Raises:
        CostError: As for `cost_of`; also where operators and the layers' formulas disagree.
    """
    return _work(shapes, scale, Fraction(height), Fraction(width))[0]


# Weight synthesis: the running module and the kind of operator -> multiply-accumulates, and elements of the outputs.
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
    """Return a network's work at several sizes; image-independent work that grows with the size counts as MACs.

    Generating weights takes the same work at any size; features of a coordinate grid, for example, do not.
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
