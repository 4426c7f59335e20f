"""What a record holds of its model's cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Larger than the work of any network on one image: a record that says more is damaged or forged.
Work = Annotated[int, Field(ge=0, le=10**18)]

__all__ = ["CostFigures", "joined_cost"]


class CostFigures(BaseModel):
    """Hold what one image costs, counted from shapes (docs/cost.md).

    Attributes:
        macs: Multiply-accumulates at a 1280x720 SR image, everything computed.
        macs_256: The same at a 256x256 LR image.
        macs_executed: What masks leave of `macs`, mean over the images of the data set; None where nothing is skipped.
        synthesis: Multiply-accumulates that make weights in each forward pass and that folding removes; not in `macs`.
        activations: Elements of all convolutions' outputs at a 1280x720 SR image.
        activations_256: The same at a 256x256 LR image.
        not_counted: Why there are no figures; empty where there are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    macs: Work | None = None
    macs_256: Work | None = None
    macs_executed: Work | None = None
    synthesis: Work | None = None
    activations: Work | None = None
    activations_256: Work | None = None
    not_counted: str = ""


def joined_cost(costs: Sequence[CostFigures | None]) -> CostFigures | None:
    """Return one cost for trainings of one model: they differ in what their masks leave, if in anything."""
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    executed = [cost.macs_executed for cost in known if cost.macs_executed is not None]
    return known[0].model_copy(update={"macs_executed": round(sum(executed) / len(executed)) if executed else None})
