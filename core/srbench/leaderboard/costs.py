"""How the cost of models is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from srbench.leaderboard.boards import Board, Entry

__all__ = ["ShownCost", "has_costs", "in_units", "shown_cost"]


@dataclass(frozen=True)
class ShownCost:
    """The cost of one model on one board; None where it is not known.

    Attributes:
        macs: Multiply-accumulates at a 1280x720 SR image, everything computed.
        executed: What masks leave of them, mean over the data sets.
        synthesis: Multiply-accumulates that make weights, apart.
        activations: Elements of the convolutions' outputs.
        reason: Why it could not be counted.
    """

    macs: int | None
    executed: int | None
    synthesis: int | None
    activations: int | None
    reason: str

    @property
    def texts(self) -> list[str]:
        """Return the MACs, then what belongs beside them."""
        if self.macs is None:
            return ["–"]
        lines = [in_units(self.macs)]
        if self.executed is not None:
            lines.append(f"{in_units(self.executed)} executed")
        if self.synthesis:
            lines.append(f"+ {in_units(self.synthesis)} for kernels")
        return lines


def shown_cost(entry: Entry) -> ShownCost:
    """Return what is known of an entry's cost."""
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
    """Return whether the cost of any model is known: tables of older results have no column for it."""
    return any(shown_cost(entry).macs is not None for board in boards for entry in board.entries)


def in_units(count: float) -> str:
    """Return a count with the unit that suits it and four significant digits: `222.8 G`, `2,448 G`, `47.8 M`."""
    size, unit = (1e9, "G") if count >= 1e8 else (1e6, "M") if count >= 1e5 else (1.0, "")
    value = count / size
    if not unit:
        return f"{value:,.0f}"
    return f"{value:,.{0 if value >= 1000 else 1 if value >= 10 else 2}f} {unit}"
