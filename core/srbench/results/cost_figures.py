"""The cost figures of a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# More than the work of any network on one image: a record with a larger figure is damaged or forged.
Work = Annotated[int, Field(ge=0, le=10**18)]

__all__ = ["CostFigures", "joined_cost"]


class CostFigures(BaseModel):
    """The cost of one image, counted from shapes (docs/cost.md).

    Attributes:
        macs: Multiply-accumulates for a 1280x720 SR image, everything computed.
        macs_256: The same for a 256x256 LR image.
        macs_executed: What the network executes of `macs` with its masks, mean over the images of the data set; None
            if it skips nothing.
        synthesis: Multiply-accumulates that generate weights in each forward pass and that folding removes; not part
            of `macs`.
        activations: Elements of all convolutions' outputs for a 1280x720 SR image.
        activations_256: The same for a 256x256 LR image.
        not_counted: Why the cost could not be counted; empty if it was.
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
    """Return the mean cost over several trainings of one model, which differ at most in what their masks skip."""
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    executed = [cost.macs_executed for cost in known if cost.macs_executed is not None]
    return known[0].model_copy(update={"macs_executed": round(sum(executed) / len(executed)) if executed else None})
