"""PlainUSR's published weights, in deployed form. Needs no torch."""

from __future__ import annotations

import re

from srbench.plugin import PerScaleWeights
from srbench_zoo.weight_files import weight_files

__all__ = [
    "plainusr_author",
    "plainusr_l_author",
    "plainusr_m_author",
    "plainusr_s_author",
    "plainusr_t_author",
    "plainusr_u_author",
]


def _in_order(match: re.Match[str]) -> str:
    """Return the path of a block in a network of five, which are named 1, 2, m, 3, 4."""
    return f"body.{'12m34'.index(match[1])}."


def _in_order_of_three(match: re.Match[str]) -> str:
    """Return the path of a block in a network of three, which are named 1, m, 2."""
    return f"body.{'1m2'.index(match[1])}."


def _attention(match: re.Match[str]) -> str:
    """Return the path of a convolution of a block's attention by its index in the authors' list."""
    return f".attention.{ {'0': 'entry', '2': 'reduce', '3': 'exit'}[match[1]] }."


def _conv(match: re.Match[str]) -> str:
    """Return the path of a block's convolution; the authors' list has activations in between."""
    return f".convs.{int(match[1]) // 2}."


def _plainusr(name: str, file: str, *sizes_and_hashes: tuple[int, str]) -> PerScaleWeights:
    """Describe the files of one size of the network at x2 and x4."""
    three = name in ("plainusr_u", "plainusr_t")
    return weight_files(
        model=f"{name}.author",
        repository="icandle/PlainUSR",
        commit="d7ff11afe3d12a68c12375a7959d3aa8a3a50eda",
        path=f"2024_PlainUSR_ACCV/pretrained_model/{file}_Rep_x{{}}.pth",
        licence="MIT",
        paper="Wang et al., PlainUSR, ACCV 2024",
        rules=(
            (r"^head\.", "entry."),
            (r"^tail\.", "upsample."),
            (r"^block([1-4m])\.", _in_order_of_three if three else _in_order),
            (r"\.body\.\d\.body\.([0-3])\.", ".attention.weigh." if three else _attention),
            (r"\.body\.([0-4])\.", _conv),
        ),
        files=tuple((scale, *found) for scale, found in zip((2, 4), sizes_and_hashes, strict=True)),
    )


plainusr_u_author = _plainusr(
    "plainusr_u",
    "PlainUSRU",
    (61094, "8c6c9f82bceaab6b84bacad643443c367bee93e9ecdabb7c7e4cc595dc82df81"),
    (85926, "d64a40ab30019a20a34bb89dd4c6b5d0ab8b16911c65c63ce31b842f4079d15a"),
)
plainusr_t_author = _plainusr(
    "plainusr_t",
    "PlainUSRT",
    (201596, "65af9f10f65ec806849bc5eaffadfa0e39101f7a6d7d8f394b13090fce4ae1d4"),
    (247164, "43f254de7f5f349256aaf7e5b40484d2c9fb3573ca1ef89478c5dd11b86331dc"),
)
plainusr_s_author = _plainusr(
    "plainusr_s",
    "PlainUSRS",
    (248766, "7517940668d25eb28fbc27751cd9e42258ab0277e474b65ab782bb61cac7e81d"),
    (294450, "874b274f27c0174df744fd22eec9dea907f484014100479f822e609dda86f919"),
)
plainusr_m_author = _plainusr(
    "plainusr_m",
    "PlainUSRM",
    (615486, "f83f3afee4467e7a239e88b85cb0849cd627d06650bc71dd67370d9bc7c87d54"),
    (681790, "5f277afeb3dcfc8014a1ae2fb8f79286147f670e68d43fc9d6ccbc3a9650d3d8"),
)
plainusr_author = _plainusr(
    "plainusr",
    "PlainUSR",
    (1265476, "2fdda1ffebfb07352e11651f1814b74bf36446aeb2b9541bea55d0b94d55e52e"),
    (1352516, "afdf923f7bb2e1904d26673653466bd11d809d2daf19a2c7bd6a38391a70efc2"),
)
plainusr_l_author = _plainusr(
    "plainusr_l",
    "PlainUSRL",
    (2851834, "695596b258962f2e17cea71ff94cfa64067f061c748546f0d1d4b3aa46f520c2"),
    (2959610, "050a1d20f2046d01eadab9efd8918a5d9ef705586faab16192d42b897d99ec4e"),
)
