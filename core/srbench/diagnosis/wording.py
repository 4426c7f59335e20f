"""Choices and what was found, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srbench.diagnosis.choices import Combination
from srbench.diagnosis.search import Diagnosis, Finding

__all__ = ["TITLES", "as_json", "conclusion", "differences", "value_words"]

TITLES = {
    "weights": "weights",
    "value_range": "value range",
    "channels": "channel order",
    "hr_crop": "HR cropped to multiples of",
    "lr_kernel": "LR images by",
    "lr_rounding": "LR rounding",
    "lr_padding": "LR padding",
    "quantisation": "SR rounding",
    "color": "compared",
    "crop_border": "border cut off",
    "ssim_region": "SSIM over",
}

_WORDS: dict[str, dict[Any, str]] = {
    "value_range": {
        "as defined": "as the network is defined",
        "0..255": "0..255 in and out",
        "0..1 given to 0..255": "divided by 255 before, multiplied behind",
        "mean-shifted": "DIV2K's mean subtracted, added behind",
        "mean-shifted, 0..255": "DIV2K's mean subtracted, 0..255",
        "-1..1": "-1..1 in and out",
    },
    "channels": {"rgb": "RGB", "bgr": "BGR"},
    "lr_kernel": {
        "matlab-bicubic": "Matlab's bicubic",
        "pillow-bicubic": "Pillow's bicubic",
        "torch-bicubic": "torch's bicubic without antialiasing",
        "torch-bicubic-antialias": "torch's bicubic with antialiasing",
        "nearest": "every n-th pixel",
        "shipped": "the folder's LR files",
    },
    "lr_rounding": {"per_pass": "after each pass", "once": "once, at the end", "none": "none"},
    "quantisation": {"round": "to the nearest level", "truncate": "truncated", "none": "none"},
    "color": {
        "stated": "what the metric says",
        "y-bt601": "BT.601 luma",
        "y-bt601-rounded": "BT.601 luma, rounded",
        "y-full-range": "full-range luma",
        "y-bgr": "BT.601 luma with R and B exchanged",
        "rgb": "RGB",
    },
    "ssim_region": {"valid": "whole windows", "padded": "the whole image"},
}


def value_words(name: str, value: Any) -> str:
    """Return the value of a choice as a table shows it."""
    if name == "crop_border":
        return f"{value} pixels" if value else "none"
    return _WORDS.get(name, {}).get(value, str(value))


def differences(combination: Combination, default: Combination) -> str:
    """Return what differs from the default, as a part of a sentence."""
    usual = default.as_dict()
    parts = [
        f"{TITLES[name]}: {value_words(name, value)} instead of {value_words(name, usual[name])}"
        for name, value in combination.changes(default).items()
    ]
    return "; ".join(parts) if parts else "no change"


def conclusion(found: Diagnosis, protocol: str) -> str:
    """Return in a sentence or two which choices give the expected figures."""
    default = found.default.combination
    figures = "the expected figures" if len(found.default.figures) > 1 else "the expected figure"
    if not found.matches:
        nearest = found.nearest[0]
        text = (
            f"None of {found.tried:,} combinations gives {figures}; the nearest has {_off(nearest)} "
            f"({differences(nearest.combination, default)})."
        )
        alone = [
            f"{one.label} alone comes out with {differences(giving[0].combination, default)}"
            for one, giving in found.partly.items()
            if giving
        ]
        return text + "".join(f" {sentence}." for sentence in alone)
    first, *others = found.matches
    changes = len(first.combination.changes(default))
    if not changes:
        return f"The default gives {figures}: no choice differs from protocol {protocol}."
    count = "one change" if changes == 1 else f"{changes} changes"
    several = len(first.figures) > 1
    text = (
        f"With {count} from protocol {protocol} {figures} {'come' if several else 'comes'} out: "
        f"{differences(first.combination, default)}."
    )
    if others:
        more = "Another combination gives" if len(others) == 1 else f"{len(others)} other combinations give"
        text += f" {more} {'them' if several else 'it'} as well, and these images cannot tell which it was."
    return text


def _off(finding: Finding) -> str:
    return ", ".join(f"{one.label} off by {mean - one.value:+.4f}" for one, mean in finding.figures.items())


def as_json(finding: Finding, default: Combination) -> Mapping[str, Any]:
    """Return a combination and its figures as JSON has them."""
    return {
        "choices": finding.combination.as_dict(),
        "changes": finding.combination.changes(default),
        "figures": [
            {"metric": one.metric, "data": one.data, "expected": one.value, "mean": mean, "agrees": one.agrees(mean)}
            for one, mean in finding.figures.items()
        ],
    }
