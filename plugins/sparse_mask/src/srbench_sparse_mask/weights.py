"""SMSR's published weights and the mapping of their keys to ours. Needs no torch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from srbench.plugin import WeightSource

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["smsr_author"]


def _from_smsr(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # body.0.body is their block of masked convolutions, body.0.ca its channel attention.
    converted = {}
    for key, tensor in state.items():
        if match := re.fullmatch(r"body\.(\d)\.spa_mask\.(.+)", key):
            key = f"body.{match[1]}.spatial.0.layers.{match[2]}"
        elif match := re.fullmatch(r"body\.(\d)\.body\.ch_mask", key):
            # (1, channel, layer, 2) in the file; ordered by layer here, like the input of a block's last layer.
            key, tensor = f"body.{match[1]}.channel.logits", tensor[0].transpose(0, 1).reshape(-1, 2).contiguous()
        elif match := re.fullmatch(r"body\.(\d)\.body\.body\.(\d)\.weight", key):
            key = f"body.{match[1]}.block.convs.{match[2]}.conv.weight"
        elif match := re.fullmatch(r"body\.(\d)\.body\.(collect\..+)", key):
            key = f"body.{match[1]}.block.{match[2]}"
        elif match := re.fullmatch(r"body\.(\d)\.ca\.conv_du\.(.+)", key):
            key = f"body.{match[1]}.block.attention.layers.{match[2]}"
        converted[key] = tensor
    return converted


smsr_author = WeightSource(
    model="smsr.author",
    repository="The-Learning-And-Vision-Atelier-LAVA/SMSR",
    commit="daac49c9a107778c95e11a16fd5b4a8b45513678",
    path="experiment/SMSR_X2/model/model_1000.pt",
    sha256="fe2a9ea09595e1ee3288d5543a22802ead716bdd0b4df9a5af373eb943eced0a",
    size=3970719,
    licence="none stated",
    paper="Wang et al., SMSR, CVPR 2021",
    scales=(2,),
    convert=_from_smsr,
)
