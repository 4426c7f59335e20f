"""A network described a second time: its layers, how often each is used, and how many of them differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from srbench.models.backbone import Backbone


@dataclass(frozen=True)
class Layer:
    """Convolutions of one shape: how large each is, how often it is used, how many of them differ.

    Attributes:
        inputs: Input channels of each group.
        outputs: Output channels.
        kernel: Height and width of the kernel.
        uses: Uses in the unrolled network.
        native: Different layers in the published network.
        recursive: Different layers in the recursive form.
        bias: Whether it has one.
        companion: Numbers of the activation that belongs to it.
        bank: Which bias a layer keeps whose weight comes from a bank; None for a layer outside them. All convolutions
            of one description share a bank.
        groups: Of the convolution.
        unbanked: Whether it is a sharing site in no bank, which `reparam` acts on.
    """

    inputs: int
    outputs: int
    kernel: int
    uses: int = 1
    native: int = 1
    recursive: int = 1
    bias: bool = True
    companion: int = 0
    bank: str | None = None
    groups: int = 1
    unbanked: bool = False

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * self.kernel**2

    @property
    def numbers(self) -> int:
        return self.weights + self.outputs * self.bias + self.companion


@dataclass(frozen=True)
class Instance:
    """A small network: how it is built, and its layers (the rest counts as layers too, or as `other` numbers)."""

    build: Callable[[], Backbone]
    scales: tuple[int, ...]
    layers: list[Layer]
    other: int = 0


def upsampler(num_feat: int, scale: int, groups: int = 1) -> list[Layer]:
    factors = {2: (2,), 3: (3,), 4: (2, 2)}[scale]
    return [Layer(num_feat // groups, num_feat * factor**2, 3) for factor in factors]


def entry_and_exit(num_feat: int) -> list[Layer]:
    return [Layer(3, num_feat, 3), Layer(num_feat, 3, 3)]


def each(number: int) -> tuple[int, int, int]:
    """Return the uses and different layers of `number` layers that are never one."""
    return number, number, number


def blueprint(num_in: int, num_out: int, number: int) -> list[Layer]:
    return [Layer(num_in, num_out, 1, *each(number), bias=False), Layer(1, num_out, 3, *each(number))]


def spatial_attention(num_feat: int, num_inner: int, number: int, convs: list[Layer]) -> list[Layer]:
    pointwise = [(num_feat, num_inner), (num_inner, num_inner), (num_inner, num_feat)]
    return [*(Layer(num_in, num_out, 1, *each(number)) for num_in, num_out in pointwise), *convs]
