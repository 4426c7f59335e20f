"""The authors' published weights, and how their keys map to ours. Importing it needs no torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from srbench.plugin import WeightSource

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "carn_m_author",
    "drrn_b1u9_ps_author",
    "drrn_b1u9_ps_author_x2",
    "drrn_b1u9_ps_author_x3",
    "drrn_b1u9_ps_author_x4",
    "srfbn_s_ps_author",
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


def _from_carn_m(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # b2.b1.body.0 is the one residual block of the second cascading block, b2.c1 a merge in it, c1 one between blocks.
    layers = {"0": "conv1", "2": "conv2", "4": "pointwise"}
    converted = {}
    for key, tensor in state.items():
        new = key.replace(".shifter.", ".")
        if match := re.fullmatch(r"b(\d)\.b1\.body\.(\d)\.(\w+)", key):
            block, layer, name = match.groups()
            new = f"shared.native_block{int(block) - 1}_{layers[layer]}.{name}"
        elif match := re.fullmatch(r"b(\d)\.c(\d)\.body\.0\.(\w+)", key):
            block, merge, name = match.groups()
            new = f"body.units.{int(block) - 1}.merges.{int(merge) - 1}.{name}"
        elif match := re.fullmatch(r"c(\d)\.body\.0\.(\w+)", key):
            merge, name = match.groups()
            new = f"body.merges.{int(merge) - 1}.{name}"
        elif match := re.fullmatch(r"upsample\.up(\d)\.body\.(\d)\.(\w+)", key):
            new = "upsample.x{}.{}.{}".format(*match.groups())
        converted[new] = tensor
    return converted


carn_m_author = WeightSource(
    model="carn_m.author",
    repository="nmhkahn/CARN-pytorch",
    commit="40d3514f81cccd680d846cd5ab07af35f2c8e0e2",
    path="checkpoint/carn_m.pth",
    sha256="d48a759a84509351facb6b7c6d5bd6edec98b98519b8c464ee4ab44d2ba964ff",
    size=1670695,
    licence="MIT",
    paper="Ahn et al., CARN, ECCV 2018",
    scales=(2, 3, 4),
    convert=_from_carn_m,
)


def _from_srfbn_ps(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # In every pair, 0 is the convolution and 1 its PReLU. Down-sampling convolutions are numbered 3 * step + group and
    # repeat the bank ("matrix"); all others recur.
    groups = 3
    lists = {"upBlocks": "ups", "uptranBlocks": "up_merges", "downtranBlocks": "down_merges"}
    converted = {}
    for key, tensor in state.items():
        key = key.removeprefix("module.")
        if key.endswith(".matrix"):
            continue
        if key == "filterbank":
            converted["shared.ps_downs.filters"] = tensor
        elif match := re.fullmatch(r"block\.downBlocks\.(\d+)\.(0\.element|1\.weight)", key):
            step, group = divmod(int(match[1]), groups)
            own = "conv.coefficients.x2" if match[2] == "0.element" else "act.weight"
            converted[f"steps.{step}.downs.{group}.{own}"] = tensor
        elif match := re.fullmatch(r"(conv_in|feat_in)\.(0|1)\.(\w+)", key):
            converted[f"{match[1]}.{'conv' if match[2] == '0' else 'act'}.{match[3]}"] = tensor
        elif match := re.fullmatch(r"(?:block\.)?(\w+)(?:\.(\d))?\.(0|1)\.(\w+)", key):
            name, number, part, parameter = match.groups()
            layer = lists.get(name, name) + (f"_{number}" if number else "")
            converted[f"shared.native_{layer}{'' if part == '0' else '_companion0'}.{parameter}"] = tensor
        else:
            converted[key] = tensor
    return converted


srfbn_s_ps_author = WeightSource(
    model="srfbn_s+ps(ratio=3/16,shape=Cx1xKxK).author",
    repository="saturnian77/SRFBN-PS",
    commit="415cdc771905461ccd9b4f916f1dce65912bdfbf",
    path="models/srfbnspsx2.pth",
    sha256="d9615f2bc553f48824ed0e7f3dd0f9b59c2f9cb6845f35730e62534d670f8e67",
    size=3561741,
    licence="none stated",
    paper=_PAPER,
    scales=(2,),
    convert=_from_srfbn_ps,
)
