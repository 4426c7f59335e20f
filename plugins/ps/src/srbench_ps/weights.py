"""The authors' published weights, and how their keys map to ours. Importing it needs no torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from srbench.weights import WeightSource

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "drrn_b1u9_ps_author",
    "drrn_b1u9_ps_author_x2",
    "drrn_b1u9_ps_author_x3",
    "drrn_b1u9_ps_author_x4",
]

_PAPER = "Park and Cho, Partial filter-Sharing, WACV 2025"


def _from_drrn_ps(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # Their file repeats the bank under every layer ("matrix"); its coefficients are called "element".
    converted = {}
    for key, tensor in state.items():
        if key == "filterbank":
            converted["shared.ps_units.filters"] = tensor
        elif match := re.fullmatch(r"b(\d+)\.b1_x(\d)\.(conv[12])\.element", key):
            unit, scale, conv = match.groups()
            converted[f"units.{int(unit) - 1}.{conv}.coefficients.x{scale}"] = tensor
        elif not key.endswith(".matrix"):
            converted[key] = tensor
    return converted


drrn_b1u9_ps_author = WeightSource(
    model="drrn_b1u9+ps(ratio=1/9,shape=CxCx1x1).author",
    repository="saturnian77/CARN_DRRN-PS",
    commit="811d9e7f4e605d9c9bcc2b2466d7066d03d64b98",
    path="checkpoint/drrnps.pth",
    sha256="39aaa5eafa1a5694ad42226da0c2b9ffd4ed163dcbcc065620fcce641d5b8c2e",
    size=1254590,
    licence="none stated",
    paper=_PAPER,
    scales=(2, 3, 4),
    convert=_from_drrn_ps,
)


def _with_coefficients_of(source: WeightSource, scale: int) -> WeightSource:
    """Return the same file, its coefficient matrices of one scale at every scale (`srbench swap`, suite `ps-swap`)."""
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = source.convert

    def swapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
        ours = state if convert is None else convert(state)
        return {key: ours[re.sub(r"(\.coefficients\.)x\d+$", rf"\1x{scale}", key)] for key in ours}

    return replace(source, model=f"{source.model}-coefficients-x{scale}", convert=swapped)


drrn_b1u9_ps_author_x2 = _with_coefficients_of(drrn_b1u9_ps_author, 2)
drrn_b1u9_ps_author_x3 = _with_coefficients_of(drrn_b1u9_ps_author, 3)
drrn_b1u9_ps_author_x4 = _with_coefficients_of(drrn_b1u9_ps_author, 4)
