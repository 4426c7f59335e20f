"""The check that measures rows again: a random sample, or all of them."""

from __future__ import annotations

import random
from collections.abc import Callable

from srbench.results.replays import add_replays
from srbench.runs.row_replay import Replayed, entry, replay
from srbench.verification.findings import CheckResult
from srbench.verification.stored_board import Board

__all__ = ["check_replay"]


def check_replay(
    board: Board,
    count: int,
    seed: int,
    *,
    train: bool = False,
    device: str = "cpu",
    record: bool = False,
    by: str | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[CheckResult, list[Replayed]]:
    """Measure rows again, drawn at random from those whose weights are available.

    Args:
        board: The board.
        count: Number of rows; all of them if there are fewer.
        seed: Seed of the draw.
        train: Include trained rows without weights, and retrain them.
        device: `cpu`, `cuda` or `cuda:N`.
        record: Store each outcome in `replays.json` as soon as it is known.
        by: Who replays the rows.
        note: Called with a description of each step.

    Raises:
        SRBenchError: The device is not available, or the disk is full.
    """
    result = CheckResult("replay", "rows")
    possible = []
    for one in board.measured:
        if one.cell is None:
            continue
        told = one.record
        untagged = told.tag is None and told.weights_sha256 is not None
        kept = not untagged or board.sources.weights_named(told.weights_sha256) is not None
        if kept or (train and told.training is not None):
            possible.append(one)
    left_out = sum(1 for _ in board.measured) - len(possible)
    if left_out:
        result.notes.append(f"{left_out} rows cannot be drawn: their weights are not in models/; --train retrains them")
    chosen = random.Random(seed).sample(possible, min(count, len(possible)))
    names = {id(one.cell): one.name for one in chosen}
    found = []
    cells = [one.cell for one in chosen if one.cell is not None]
    for replayed in replay(cells, board.sources, train=train, device=device, note=note):
        found.append(replayed)
        result.checked += 1
        if record:
            add_replays(board.store.path, [entry(replayed, by)])
        if not replayed.agrees:
            wrong = [str(one) for one in replayed.differences if not one.allowed]
            more = [f"{len(wrong) - 3} values more"] if len(wrong) > 3 else []
            result.wrong(names[id(replayed.cell)], "; ".join([*replayed.reasons, *wrong[:3], *more]))
    if found:
        equal = sum(one.outcome == "equal" for one in found)
        result.notes.append(f"seed {seed}: {equal} of {len(found)} rows equal to the last bit")
    return result, found
