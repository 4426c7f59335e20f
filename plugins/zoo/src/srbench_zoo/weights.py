"""The authors' published weights, and how their keys map to ours. Importing it needs no torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from srbench.weights import PerScaleWeights, WeightSource

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["imdn_author"]

State = dict[str, "Tensor"]
Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]


def _renamed(rules: Rules, state: State) -> State:
    """Apply to every key the first rule, a pattern for its beginning and what to put there, that matches."""
    converted = {}
    for key, tensor in state.items():
        for pattern, new in rules:
            renamed, count = re.subn(rf"\A{pattern}", new, key)
            if count:
                key = renamed
                break
        converted[key] = tensor
    return converted


def _block(rest: str) -> Callable[[re.Match[str]], str]:
    """Return a replacement that counts the pattern's first group, the block's number, from 0."""
    return lambda match: f"body.{int(match[1]) - 1}." + match.expand(rest)


_IMDN: Rules = (
    (r"module\.IMDB(\d)\.c([1-4])\.", _block(r"conv\2.")),
    (r"module\.IMDB(\d)\.c5\.", _block("gather.1.")),
    (r"module\.IMDB(\d)\.cca\.conv_du\.", _block("gather.0.weigh.")),
    (r"module\.fea_conv\.", "entry."),
    (r"module\.c\.0\.", "fuse."),
    (r"module\.LR_conv\.", "tail."),
    (r"module\.upsampler\.", "upsample."),
)

imdn_author = PerScaleWeights(
    tuple(
        WeightSource(
            model="imdn.author",
            repository="Zheng222/IMDN",
            commit="8f158e6a5ac9db6e5857d9159fd4a6c4214da574",
            path=f"checkpoints/IMDN_x{scale}.pth",
            sha256=sha256,
            size=size,
            licence="none stated",
            paper="Hui et al., IMDN, ACM MM 2019",
            scales=(scale,),
            convert=partial(_renamed, _IMDN),
        )
        for scale, size, sha256 in (
            (2, 2796052, "740b39653592bd3f49955a21cd9e16f2d37f2c413368cc09327601b8fbe42ce1"),
            (3, 2830672, "11b1716a19bc16e5e353e1db798d476169338e631eb170c82d765559888cb028"),
            (4, 2879112, "e660c38221147217a136debeb99eb304d62d9c0f73ac421ed66281b619719714"),
        )
    )
)
