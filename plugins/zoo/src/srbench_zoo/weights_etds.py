"""Published weights of ETDS and of ECBSR, both trained by ETDS's authors, in deployed form. Needs no torch."""

from __future__ import annotations

from srbench.plugin import PerScaleWeights
from srbench_zoo.weight_files import Rules, weight_files

__all__ = [
    "ecbsr_et_m6c40_author",
    "ecbsr_m4c16_author",
    "ecbsr_m4c32_author",
    "ecbsr_m6c40_author",
    "etds_l_author",
    "etds_m_author",
    "etds_s_author",
    "etds_t_author",
]

_ETDS_RULES: Rules = (
    (r"^conv_first\.", "entry.conv."),
    (r"^backbone_convs\.(\d+)\.", r"body.\1.conv."),
    (r"^conv_(last|clip)\.", lambda match: "exit." if match[1] == "last" else "clip."),
)


def _ecbsr_rules(num_conv: int) -> Rules:
    """Return the rules for ECBSR, which has all its layers in one list."""
    return (
        (r"^backbone\.0\.", "entry."),
        (rf"^backbone\.{num_conv + 1}\.0\.", "exit."),
        (rf"^backbone\.{num_conv + 2}\.0\.", "clip."),
        (r"^backbone\.(\d+)\.", lambda match: f"body.{int(match[1]) - 1}."),
        (r"\.0\.(weight|bias)$", r".conv.\1"),
        (r"\.1\.weight$", ".act.weight"),
    )


def _weights(model: str, file: str, rules: Rules, *files: tuple[int, int, str]) -> PerScaleWeights:
    """Describe the files of a network; the first word of their name is their folder."""
    return weight_files(
        model=f"{model}.author",
        repository="ECNUSR/ETDS",
        commit="64ad1b8539ebdc17ee543398fd87da541fe3c071",
        path=f"experiments/pretrained_models/{file.partition('_')[0]}/{file}_x{{}}.pth",
        licence="Apache-2.0",
        paper="Chao et al., ETDS, CVPR 2023",
        rules=rules,
        files=files,
    )


etds_t_author = _weights(
    "etds_t",
    "ETDS_M5C16",
    _ETDS_RULES,
    (2, 60341, "80ebfeb873f40f2e31f5cbbc5168f9ddd645f9144bd205be205c96240d799d86"),
    (3, 72245, "4b0c216ce5edbbfd552c5f370239fc283d10e986eae46993482fd49e80094a3c"),
    (4, 90037, "e15cc9f9782e8ddf5d8ad7c2cea3d0c6388400fee95808e108bea7a0ffb4eedb"),
)

etds_s_author = _weights(
    "etds_s",
    "ETDS_M4C32",
    _ETDS_RULES,
    (2, 170043, "d8c64b4f6f9e501be550a22b93c47897478615f8a17bd4984e91fa85e2f3d3b9"),
    (3, 191163, "b1847f01507c80c9ff44aebb3a8e1377e00023a1f12eb32331e478f04bcadc76"),
    (4, 220475, "6d77e63a0fc715e0dbe8574814c5663ba615d9ce3a9b371e81e5be6d8377bc65"),
)

etds_m_author = _weights(
    "etds_m",
    "ETDS_M6C32",
    _ETDS_RULES,
    (2, 245231, "0b3cab35f426cf13ce0220c2f88c71c41c42d3f0c323c7d77edf7cb80434c8bc"),
    (3, 266351, "54e1a861e24e5659d68a8784493525fd58288e72badd5bb7fdfe2d4680f28fde"),
    (4, 295663, "32a7fc201431af66e9a917c518488ce5809ccf49219400b92878ac30df70198c"),
)

etds_l_author = _weights(
    "etds_l",
    "ETDS_M7C48",
    _ETDS_RULES,
    (2, 614505, "1268508595e9202502bb6f618b584b2def972b8ad2b9fafde77e163b702ae5e8"),
    (3, 644841, "a82e0409e86a662c46c15c0b9a53a74910ae5bf5f8abe1982850b314ef180c8b"),
    (4, 685673, "733502b10a6c5ddacc90ac25a970a913ec010776422cb56275dd8c08061f4036"),
)

ecbsr_m4c16_author = _weights(
    "ecbsr_m4c16",
    "ECBSR_M4C16",
    _ecbsr_rules(4),
    (2, 51250, "d13482aa1e7309fb7cf296376636023647c192c793c46685311fa13739a5ef68"),
    (3, 59954, "4e66c92d75eb0c7d88ffd922b216f3966a664ce295065be18f70f44a64f9292b"),
    (4, 72114, "04f630699d14ec695384adf21a18d4effe9722c745d4ea34bc3c8e3e2413c3c3"),
)

# The tests have no file for x2, x3, x4: size and hash are as published.
ecbsr_m4c32_author = _weights(
    "ecbsr_m4c32",
    "ECBSR_M4C32",
    _ecbsr_rules(4),
    (2, 171122, "ff160c76918426f8f1859d99c8c3b90ecb2cfc601d378b33d0381c534525368d"),
    (3, 188466, "f1aece5af2217a8b0d35d82ef5894d452746db3c072cc5cafe569f07eb557302"),
    (4, 212722, "6d5bb76ac7c6fc30d3236a18ddd20653137fb86efd2e4e1a24ed73441651b38a"),
)

# The tests have no file for x2, x3: size and hash are as published.
ecbsr_m6c40_author = _weights(
    "ecbsr_m6c40",
    "ECBSR_M6C40",
    _ecbsr_rules(6),
    (2, 376224, "563b94836a82cf36207d560ea06e1bb6a1c98d315c956d71c551eb754aa3e74a"),
    (3, 397856, "90f66df015bb0e88204348f2cc2f84e90027748da20f2ce6d57d8a5460e1b5e6"),
    (4, 428192, "bdd8990bc5cb3e6ff0d1027d570171a76b5879cf8b26dc6d1fdbacebdb5e330a"),
)

ecbsr_et_m6c40_author = _weights(
    "ecbsr_et_m6c40",
    "ECBSR_ET_M6C40",
    _ecbsr_rules(6),
    (4, 518234, "3d1e24df11feaf6a25b8d0143f0d7d4b51eb2e0b227ac247cd78d5fe4183eb15"),
)
