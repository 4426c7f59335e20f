"""Multiply-accumulates, activations and kernel synthesis against printed figures, and against fvcore to the unit."""

from __future__ import annotations

import logging
from collections import Counter
from math import prod

import pytest
import torch
from torch import Tensor, nn

from srbench.cost.counts import Cost, cost_of, work_at
from srbench.cost.executed import executed_on
from srbench.cost.operators import on_meta, run
from srbench.cost.rules import FREE
from srbench.data.datasets import open_dataset
from srbench.models.backbone import Backbone
from srbench.models.factory import create_model
from srbench.models.surgery import fold
from srbench.protocols import get_protocol


def costs(name: str, scale: int) -> Cost:
    return cost_of(create_model(name, scale=scale, pretrained=False, seed=0))


@pytest.mark.parametrize(
    ("name", "scale", "giga"),
    [
        # FACTS, "MACs at 1280x720 output"; x3 at the fractional LR size 426 2/3 x 240.
        ("carn", 2, 222.8),
        ("carn", 3, 118.8),
        ("carn", 4, 90.9),
        ("carn+ps(ratio=8/9)", 2, 222.8),
        ("carn+ps(ratio=8/9)", 3, 118.8),
        ("carn+ps(ratio=6/9)", 4, 90.9),
        ("carn_m", 2, 91.2),
        ("carn_m", 3, 46.1),
        ("carn_m", 4, 32.5),
        ("drrn_b1u9", 2, 2448.2),
        ("drrn_b1u9", 3, 2448.2),
        ("drrn_b1u9+ps.author", 4, 2448.2),
        ("srfbn_s", 2, 271.1),
        ("srfbn_s", 3, 170.9),
        ("srfbn_s", 4, 130.6),
        ("srfbn_s+ps.author", 2, 271.1),
        # FACTS: by fvcore, at 320x180 LR pixels.
        ("edsr_baseline", 4, 114.23),
    ],
)
def test_convolutions_at_1280x720(name: str, scale: int, giga: float) -> None:
    work = costs(name, scale).hd
    decimals = len(str(giga).partition(".")[2])
    assert round(float(work.convolution) / 1e9, decimals) == giga
    # Beside convolutions there is DRRN's colour transform, to YCbCr and back: 9 products for each pixel and way.
    assert work.product == (2 * 9 * 1280 * 720 if name.startswith("drrn") else 0)
    assert work.macs == work.convolution + work.product


def test_edsr_baseline_x4_at_256x256_takes_130_giga() -> None:
    # FACTS: 129.97 G, by fvcore.
    assert round(costs("edsr_baseline", 4).ntire.macs / 1e9, 2) == 129.97


def test_carn_x3_is_the_exact_share_of_its_work_for_a_pixel() -> None:
    whole = work_at(on_meta(create_model("carn", scale=3, seed=0)), 3, 240, 426)
    pixel, rest = divmod(whole.convolution, 240 * 426)
    assert rest == 0
    assert costs("carn", 3).hd.convolution == pixel * 240 * 1280 / 3


@pytest.mark.parametrize(
    ("name", "scale", "mega"),
    [
        # FACTS, "Kernel synthesis per forward".
        ("drrn_b1u9+ps.author", 2, 47.8),
        ("carn+ps(ratio=8/9)", 2, 95.6),
        ("carn+ps(ratio=6/9)", 2, 71.7),
        ("srfbn_s+ps(ratio=3/16,shape=Cx1xKxK)", 2, 31.9),
        ("srfbn_s+ps(ratio=19/96,shape=Cx1xKxK)", 3, 45.8),
        ("srfbn_s+ps(ratio=5/24,shape=Cx1xKxK)", 4, 62.9),
    ],
)
def test_kernel_synthesis_is_apart_and_gone_when_folded(name: str, scale: int, mega: float) -> None:
    model = create_model(name, scale=scale, pretrained=False, seed=0)
    found = cost_of(model)
    assert round(float(found.hd.synthesis) / 1e6, 1) == mega
    assert found.hd.synthesis == found.ntire.synthesis
    dense = costs(f"{name.partition('+')[0]}+dense", scale)
    assert (found.hd.macs, found.ntire.macs) == (dense.hd.macs, dense.ntire.macs)
    after = cost_of(fold(model, scale))
    assert (after.hd.macs, after.hd.synthesis, after.params) == (dense.hd.macs, 0, found.folded)


def test_activations_of_edsr_by_hand() -> None:
    # 34 convolutions to 64 channels and one to 256 at LR size, one to 256 at twice it, one to 3 at four times it.
    lr = 256 * 256
    expected = lr * (34 * 64 + 256) + 4 * lr * 256 + 16 * lr * 3
    assert costs("edsr_baseline", 4).ntire.activations == expected


class Everything(Backbone):
    """A network of all the operators that both counters see."""

    def __init__(self) -> None:
        super().__init__((2,))
        self.entry = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.layer_norm = nn.LayerNorm(8)
        self.plain_norm = nn.LayerNorm(8, elementwise_affine=False)
        self.group_norm = nn.GroupNorm(2, 8)
        self.grouped = nn.Conv2d(8, 8, 3, stride=2, padding=2, groups=4, dilation=2)
        self.up = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, groups=2)
        self.linear = nn.Linear(4, 6)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.pool4 = nn.AdaptiveAvgPool2d(4)
        self.exit = nn.Conv2d(6, 12, 1)

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        x = self.group_norm(self.norm(self.entry(lr)))
        x = x * self.pool(x) + self.pool4(x).mean()
        rows = x.flatten(2).transpose(1, 2)
        rows = self.plain_norm(self.layer_norm(rows))
        x = x + torch.matmul(rows.transpose(1, 2), rows).softmax(-1).sum()
        x = self.up(self.grouped(x))
        x = self.linear(x.movedim(1, 3)).movedim(3, 1)
        x = torch.einsum("ij,njhw->nihw", torch.eye(6), x)
        enlarged = nn.functional.interpolate(lr, scale_factor=2, mode="bilinear")
        enlarged = enlarged + nn.functional.interpolate(lr, scale_factor=2, mode="nearest")
        return nn.functional.pixel_shuffle(self.exit(x), 2) + enlarged


def by_fvcore(model: nn.Module, scale: int, size: tuple[int, int]) -> Counter[str]:
    from fvcore.nn import FlopCountAnalysis

    class AtScale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, lr: Tensor) -> object:
            return self.model(lr, scale)

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    analysis = FlopCountAnalysis(AtScale().eval(), torch.rand(1, 3, *size))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return analysis.by_operator()


PRODUCTS = {"addmm", "bmm", "mm", "matmul", "linear", "einsum"}


def by_srbench(model: Backbone, scale: int, size: tuple[int, int]) -> Counter[str]:
    """Return our counts by what fvcore calls the operators; weights that are made count here, as they do there."""
    names = {
        "aten::convolution": "conv",
        "aten::native_layer_norm": "layer_norm",
        "aten::native_group_norm": "group_norm",
        "aten::_native_batch_norm_legit_no_training": "batch_norm",
        "aten::native_batch_norm": "batch_norm",
        "aten::mean": "adaptive_avg_pool2d",
        "aten::_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    }
    found: Counter[str] = Counter()
    for call in run(on_meta(model), scale, *size).calls:
        if call.kind != FREE:
            name = names.get(call.operator, call.operator.removeprefix("aten::"))
            found["products" if name in PRODUCTS else name] += call.count
    return found


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("edsr_baseline", 4),
        ("edsr_tiny+ps", 3),
        ("edsr_tiny+basis", 2),
        ("edsr_tiny+dsconv", 2),
        ("carn_m", 3),
        ("carn+ps(ratio=6/9)", 4),
        ("drrn_b1u9+ps(ratio=1/9)", 2),
        ("srfbn_s", 3),
        ("srfbn_s+ps(ratio=3/16,shape=Cx1xKxK)", 2),
        ("rcan_g5b10", 2),
        ("imdn", 2),
        ("everything", 2),
    ],
)
def test_operators_agree_with_fvcore_to_the_unit(name: str, scale: int) -> None:
    model = Everything() if name == "everything" else create_model(name, scale=scale, pretrained=False, seed=0)
    # fvcore reads einsum's count from a text of four digits: here they are all of it.
    size = (10, 20)
    theirs: Counter[str] = Counter()
    for operator, count in by_fvcore(model, scale, size).items():
        theirs["products" if operator in PRODUCTS else operator] += round(count)
    ours = by_srbench(model.eval(), scale, size)
    assert {name: ours[name] for name in theirs} == dict(theirs)
    # What they do not see, none here, would be counted beside.
    assert {operator for operator, count in ours.items() if count} == {o for o, count in theirs.items() if count}
    assert prod(size) < theirs.total() == ours.total()


@pytest.mark.parametrize(("scale", "giga"), [(2, 223.8), (3, 100.4), (4, 57.2)])
def test_smsr_computed_densely(scale: int, giga: float) -> None:
    # FACTS, "MACs at 1280x720 output"; the masks' predictors included.
    assert round(costs("smsr", scale).hd.macs / 1e9, 1) == giga


@pytest.mark.usefixtures("filled_cache")
def test_smsr_executes_half_of_it_on_set5() -> None:
    # FACTS, SMSR: "Executed MACs, mean over Set5, at 1280x720: 111.8 G against 223.8 G dense".
    model = create_model("smsr.author", scale=2)
    counts = executed_on(model, open_dataset("Set5"), 2, get_protocol("matlab-y"))
    assert counts is not None
    assert round(sum(counts.values()) / len(counts) / 1e9, 1) == 111.8


@pytest.mark.parametrize(
    ("name", "scale", "giga"),
    [
        # Printed in the networks' papers, or in those of their successors.
        ("imdn", 2, 158.8),
        ("imdn", 4, 40.9),
        ("vdsr", 2, 612.6),
        ("drcn", 2, 17974.3),
        ("drrn_b1u25", 2, 6796.9),
        ("pan", 2, 70.5),
        ("pan", 4, 28.2),
        ("rlfn", 4, 29.8),
        ("msrresnet", 4, 146.1),
        ("srresnet", 4, 112.1),
    ],
)
def test_figures_that_papers_print(name: str, scale: int, giga: float) -> None:
    assert round(float(costs(name, scale).hd.convolution) / 1e9, 1) == giga
