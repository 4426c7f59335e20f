"""Published weights of LKDN and LKDN-S. Needs no torch."""

from __future__ import annotations

from srbench_zoo.weight_files import Rules, from_zero, weight_files

__all__ = ["lkdn_author", "lkdn_s_author", "lkdn_s_reparam_author"]

_REPOSITORY = "stella-von/LKDN"
_COMMIT = "54df78a491142c2503d9738192b767ceced4d1a1"
_FOLDER = "experiments/pretrained_models/LKDN"
_PAPER = "Xie et al., LKDN, CVPRW 2023"

_RULES: Rules = (
    (r"^fea_conv\.", "entry."),
    (r"^B(\d)\.", from_zero),
    (r"^c1\.", "fuse."),
    (r"^c2\.", "tail."),
    (r"^upsampler\.", "upsample."),
    (r"\.c([1-3])_d\.", lambda match: f".distil.{int(match[1]) - 1}."),
    (r"\.c([1-3])_r\.", lambda match: f".refine.{int(match[1]) - 1}."),
    (r"\.c4\.", ".last."),
    (r"\.c5\.", ".fuse."),
    (r"\.c6\.", ".mix."),
    (r"\.atten\.depthwise_dilated\.", ".attention.dilated."),
    (r"\.atten\.", ".attention."),
    (r"\.pixel_norm\.", ".norm."),
    (r"(^|\.)pw\.", r"\1pointwise."),
    (r"(^|\.)dw\.", r"\1depthwise."),
)
# The branches of `+reparam(kind=rep1x1)` in the refining convolutions and the upsampler.
_BRANCHES: Rules = (
    (r"(\.refine\.\d\.(?:pointwise|depthwise))\.", r"\1.conv."),
    (r"\.rep1x1\.", ".depthwise.point."),
    (r"^upsample\.conv1\.", "upsample.0.point."),
    (r"^upsample\.conv3\.", "upsample.0.conv."),
    (r"^upsample\.conv1x1\.", "upsample.0.expanded.expand."),
    (r"^upsample\.conv3x3\.", "upsample.0.expanded.reduce."),
)

# The tests have no file for x3: size and hash are as published. The files also hold `params`, which differ in part.
lkdn_author = weight_files(
    model="lkdn.author",
    repository=_REPOSITORY,
    commit=_COMMIT,
    path=f"{_FOLDER}/LKDN_x{{}}.pth",
    licence="MIT",
    paper=_PAPER,
    rules=_RULES,
    files=(
        (2, 2579929, "02b429e795ad0863fdf21c6924c79344e30a39d637c44442d13124193b012e6b"),
        (3, 2640473, "52835d49d402683ea2085c13e4afc3aca49f6b806ea29d6ed29b2238cd7874c5"),
        (4, 2725465, "f534422583c99dad994fd7df897f6f872637218430cfedf6c2d2a072ea86dbd7"),
    ),
    key="params_ema",
)

lkdn_s_author = weight_files(
    model="lkdn_s.author",
    repository=_REPOSITORY,
    commit=_COMMIT,
    path=f"{_FOLDER}/LKDN-S_del_rep_x{{}}.pth",
    licence="MIT",
    paper=_PAPER,
    rules=_RULES,
    files=((4, 559105, "b802a3945d7d4f22f836668a78448b37fe5da90d7b08afc564fbddfa594a8cf1"),),
)

lkdn_s_reparam_author = weight_files(
    model="lkdn_s+reparam(kind=rep1x1).author",
    repository=_REPOSITORY,
    commit=_COMMIT,
    path=f"{_FOLDER}/LKDN-S_x{{}}.pth",
    licence="MIT",
    paper=_PAPER,
    rules=(*_RULES, *_BRANCHES),
    files=((4, 1494129, "39ff2c69cdeb40f842c9f93368caee3323a4309c350373edeb2dc9ef3cc05851"),),
    key="params_ema",
)
