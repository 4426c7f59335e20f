"""Display of the cost of models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from srbench.leaderboard.boards import Board, Entry

__all__ = ["ShownCost", "has_costs", "in_units", "shown_cost"]


@dataclass(frozen=True)
class ShownCost:
    """The cost of one model on one board; None where unknown.

    Attributes:
        macs: Multiply-accumulates for a 1280x720 SR image, everything computed.
        executed: Those executed with the network's masks, mean over the data sets.
        synthesis: Multiply-accumulates that generate weights, not part of `macs`.
        activations: Elements of the convolutions' outputs.
        reason: Why the cost could not be counted.
    """

    macs: int | None
    executed: int | None
    synthesis: int | None
    activations: int | None
    reason: str

    @property
    def texts(self) -> list[str]:
        """The MACs, then the figures shown below them."""
        if self.macs is None:
            return ["–"]
        lines = [in_units(self.macs)]
        if self.executed is not None:
            lines.append(f"{in_units(self.executed)} executed")
        if self.synthesis:
            lines.append(f"+ {in_units(self.synthesis)} for kernels")
        return lines


def shown_cost(entry: Entry) -> ShownCost:
    """Return the cost of an entry, as far as it is known."""
    costs = [record.cost for record in entry.records.values() if record.cost is not None]
    if not costs:
        return ShownCost(None, None, None, None, "")
    executed = [cost.macs_executed for cost in costs if cost.macs_executed is not None]
    first = costs[0]
    return ShownCost(
        macs=first.macs,
        executed=round(sum(executed) / len(executed)) if executed else None,
        synthesis=first.synthesis,
        activations=first.activations,
        reason=first.not_counted,
    )


def has_costs(boards: Iterable[Board]) -> bool:
    """Return whether the cost of any model is known; if not, tables have no column for it."""
    return any(shown_cost(entry).macs is not None for board in boards for entry in board.entries)


def in_units(count: float) -> str:
    """Format a count with a suitable unit and about four significant digits: `222.8 G`, `2,448 G`, `47.8 M`."""
    size, unit = (1e9, "G") if count >= 1e8 else (1e6, "M") if count >= 1e5 else (1.0, "")
    value = count / size
    if not unit:
        return f"{value:,.0f}"
    return f"{value:,.{0 if value >= 1000 else 1 if value >= 10 else 2}f} {unit}"
