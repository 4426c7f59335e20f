"""The choices between a weights file and a figure, and their usual alternatives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations, product
from math import lcm
from typing import Any, TypeVar

from srbench.errors import ConfigError
from srbench.protocols import Protocol

__all__ = [
    "Alternative",
    "Combination",
    "PassChoices",
    "ScoreChoices",
    "alternatives",
    "default_choices",
    "varied",
    "with_settings",
]

LR_KERNELS = ("matlab-bicubic", "pillow-bicubic", "torch-bicubic", "torch-bicubic-antialias", "nearest", "shipped")


@dataclass(frozen=True)
class PassChoices:
    """What a forward pass depends on.

    Attributes:
        weights: Key of the state dict in the weights file.
        value_range: What the network is given and returns; a name of `networks.VALUE_RANGES`.
        channels: Their order: `rgb` or `bgr`.
        hr_crop: HR images are cropped to a multiple of this.
        lr_kernel: One of `LR_KERNELS`; `shipped` are the folder's own LR files.
        lr_rounding: As in `Protocol`.
        lr_padding: As in `Protocol`.
    """

    weights: str
    value_range: str
    channels: str
    hr_crop: int
    lr_kernel: str
    lr_rounding: str
    lr_padding: str

    def is_possible(self, default: PassChoices) -> bool:
        """Say whether the choices can be combined: most kernels have a padding and a rounding of their own."""
        if self.lr_kernel in ("matlab-bicubic", default.lr_kernel):
            return True
        free = ("none",) if self.lr_kernel.startswith("torch") else ()
        return self.lr_padding == default.lr_padding and self.lr_rounding in (default.lr_rounding, *free)


@dataclass(frozen=True)
class ScoreChoices:
    """What is done with an SR image before it is compared.

    Attributes:
        quantisation: `round`, `truncate`, or `none`: values are clamped, and compared as they are.
        color: `stated`: what each metric's name says; or what is compared instead: a color of `Protocol`, or `y-bgr`,
            BT.601 luma of an image whose channels are in the order BGR.
        crop_border: Pixels cropped from each side.
        ssim_region: As in `Protocol`.
    """

    quantisation: str
    color: str
    crop_border: int
    ssim_region: str

    def is_possible(self, default: ScoreChoices) -> bool:
        """Say whether the choices can be combined: all can."""
        return True


@dataclass(frozen=True)
class Combination:
    """All choices between a weights file and a figure."""

    passed: PassChoices
    scored: ScoreChoices

    def as_dict(self) -> dict[str, Any]:
        """Return every choice by name."""
        return asdict(self.passed) | asdict(self.scored)

    def changes(self, default: Combination) -> dict[str, Any]:
        """Return the choices that differ from the default."""
        usual = default.as_dict()
        return {name: value for name, value in self.as_dict().items() if value != usual[name]}


@dataclass(frozen=True)
class Alternative:
    """Another value of a choice.

    Attributes:
        value: The value.
        rarity: 0 for frequent causes of a difference, more for rarer ones.
    """

    value: Any
    rarity: int = 0


def default_choices(protocol: Protocol, scale: int, weights: str) -> Combination:
    """Return the choices of a protocol, with a network used as it is defined."""
    return Combination(
        PassChoices(
            weights,
            "as defined",
            "rgb",
            scale if protocol.hr_crop == "scale" else protocol.hr_crop,
            protocol.lr_kernel,
            protocol.lr_rounding,
            protocol.lr_padding,
        ),
        ScoreChoices(protocol.quantisation, "stated", protocol.crop(scale), protocol.ssim_region),
    )


def alternatives(
    default: Combination,
    scale: int,
    *,
    weights: Iterable[str],
    value_ranges: Iterable[str],
    colors: Iterable[str],
    shipped: bool = False,
    with_ssim: bool = False,
) -> dict[str, list[Alternative]]:
    """Return the alternatives of each choice, the most likely first; the default's own values are left out.

    Args:
        default: What is done by default.
        scale: The scale.
        weights: Keys of the weights file.
        value_ranges: Names of value ranges.
        colors: What may be compared instead of what the metrics state.
        shipped: Whether every data set has LR files of this scale.
        with_ssim: Whether an SSIM is expected.
    """
    kernels = {"pillow-bicubic": 0, "torch-bicubic": 1, "torch-bicubic-antialias": 1, "nearest": 3, "matlab-bicubic": 0}
    found: dict[str, list[Alternative]] = {
        "weights": [Alternative(key) for key in weights],
        "value_range": [Alternative(name, rarity) for rarity, name in enumerate(value_ranges)],
        "channels": [Alternative("bgr")],
        "hr_crop": [Alternative(unit, rarity) for unit, rarity in ((scale, 0), (lcm(12, scale), 0), (8 * scale, 2))],
        "lr_kernel": [Alternative(name, rarity) for name, rarity in kernels.items()],
        "lr_rounding": [Alternative("once", 1), Alternative("none", 1), Alternative("per_pass", 1)],
        "lr_padding": [Alternative("symmetric", 2), Alternative("replicate", 2)],
        "quantisation": [Alternative("truncate"), Alternative("none", 1), Alternative("round")],
        "color": [Alternative(name, rarity) for rarity, name in enumerate(colors)],
        "crop_border": [Alternative(border, rarity) for border, rarity in ((scale, 0), (0, 0), (4, 0), (scale + 6, 1))],
        "ssim_region": [Alternative("padded", 1), Alternative("valid", 1)] if with_ssim else [],
    }
    if shipped:
        found["lr_kernel"].insert(0, Alternative("shipped"))
    usual = default.as_dict()
    return {
        name: list({option.value: option for option in reversed(options) if option.value != usual[name]}.values())[::-1]
        for name, options in found.items()
    }


def with_settings(default: Combination, settings: str, options: Mapping[str, Sequence[Alternative]]) -> Combination:
    """Return the default with some choices made otherwise.

    Args:
        default: What is done by default.
        settings: Choices and their values, such as `hr_crop=12, lr_rounding=once`.
        options: The alternatives of each choice.

    Raises:
        ConfigError: A choice is unknown, or has no such value.
    """
    usual = default.as_dict()
    changed: dict[str, Any] = {}
    # Some values have a comma of their own.
    for setting in re.split(r",\s*(?=\w+=)", settings):
        name, _, value = (part.strip() for part in setting.partition("="))
        if name not in options:
            raise ConfigError(
                f"--with takes CHOICE=VALUE with a choice of {', '.join(options)}; got '{setting.strip()}'"
            )
        values = {str(known): known for known in (usual[name], *(option.value for option in options[name]))}
        if value not in values:
            raise ConfigError(f"--with: {name} is one of {', '.join(values)}; got '{value}'")
        changed[name] = values[value]
    passed = {field.name for field in fields(PassChoices)}
    return Combination(
        replace(default.passed, **{name: value for name, value in changed.items() if name in passed}),
        replace(default.scored, **{name: value for name, value in changed.items() if name not in passed}),
    )


C = TypeVar("C", PassChoices, ScoreChoices)


def varied(default: C, options: Mapping[str, Sequence[Alternative]], changes: int) -> Iterator[C]:
    """Yield the possible choices that differ from the default in exactly so many places."""
    names = [field.name for field in fields(default)]
    for changed in combinations(names, changes):
        for values in product(*(options.get(name, ()) for name in changed)):
            choices = replace(default, **dict(zip(changed, (option.value for option in values), strict=True)))
            if choices.is_possible(default):
                yield choices
