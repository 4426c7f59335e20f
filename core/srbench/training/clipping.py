"""Gradient clipping, between the backward pass and the optimizer step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Clip", "clip_gradients"]


class Clip(BaseModel):
    """Settings of gradient clipping.

    Attributes:
        type: `norm` scales all gradients together to a norm of at most `threshold`; `value` cuts each one to
            -threshold..threshold; `adjustable` cuts each one to -threshold/lr..threshold/lr, so that no weight moves by
            more than `threshold` in a step of plain SGD, whatever the learning rate.
        threshold: The bound; VDSR and DRRN use 0.01 (adjustable), CARN's program 10 (norm).

    Source: Kim et al., "Accurate image super-resolution using very deep convolutional networks", CVPR 2016, section
    3.2, for `adjustable`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["norm", "value", "adjustable"]
    threshold: float = Field(gt=0, allow_inf_nan=False)


def clip_gradients(clip: Clip, parameters: Iterable[Tensor], lr: float) -> None:
    """Clip the gradients of parameters in place.

    Args:
        clip: The settings.
        parameters: The optimized parameters.
        lr: This iteration's learning rate.
    """
    from torch.nn.utils import clip_grad_norm_, clip_grad_value_

    if clip.type == "norm":
        clip_grad_norm_(parameters, clip.threshold)
    else:
        clip_grad_value_(parameters, clip.threshold if clip.type == "value" else clip.threshold / lr)
