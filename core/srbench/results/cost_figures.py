"""What a record holds of its model's cost."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

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

    macs: int | None = None
    macs_256: int | None = None
    macs_executed: int | None = None
    synthesis: int | None = None
    activations: int | None = None
    activations_256: int | None = None
    not_counted: str = ""


def joined_cost(costs: Sequence[CostFigures | None]) -> CostFigures | None:
    """Return one cost for trainings of one model: they differ in what their masks leave, if in anything."""
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    executed = [cost.macs_executed for cost in known if cost.macs_executed is not None]
    return known[0].model_copy(update={"macs_executed": round(sum(executed) / len(executed)) if executed else None})
