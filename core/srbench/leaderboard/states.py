"""The state of a row: submitted, or measured again here; and what tables and pages say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from srbench.results.cells import Cell
from srbench.results.replays import REPLAYED, Replay, read_replays

__all__ = ["SUBMITTED", "State", "read_states", "state_columns", "state_of_row"]


@dataclass(frozen=True)
class State:
    """What is known of a row's figures.

    Attributes:
        name: `submitted`, `replayed here`, `replay differs` or `replay failed`.
        detail: By whom, when and where it was replayed; empty for a row that was not.
        replay: What was kept of its replay; None for a row that was not replayed.
    """

    name: str
    detail: str = ""
    replay: Replay | None = None


SUBMITTED = State("submitted")


def read_states(results_dir: str | Path, cells: Iterable[Cell] | None = None) -> Mapping[str, State]:
    """Return the states of a store's cells by key; a cell that is missing was not replayed.

    Args:
        results_dir: Where the results are.
        cells: Its cells, where they are read already.

    Raises:
        StoreError: The store's list of replays cannot be read.
    """
    return {key: _state(replay) for key, replay in read_replays(results_dir, cells).items()}


def _state(replay: Replay) -> State:
    code = replay.commit and f"commit {replay.commit[:10]}{' with changes' if replay.dirty else ''}"
    where = [replay.by, replay.date[:10], replay.platform, code]
    detail = ", ".join(part for part in [replay.outcome, *where] if part)
    if replay.agrees:
        return State(REPLAYED, detail, replay)
    return State("replay failed" if replay.outcome == "failed" else "replay differs", detail, replay)


def state_of_row(keys: Iterable[str], states: Mapping[str, State]) -> State:
    """Return the state of a row, which is that of the cell that is known least of.

    Args:
        keys: Of its cells: one for each data set and seed.
        states: The states of all cells that were replayed.
    """
    found = [states.get(key, SUBMITTED) for key in keys]
    worst = [state for state in found if state.name.startswith("replay ")]
    if worst:
        return worst[0]
    replayed = [state for state in found if state != SUBMITTED]
    if found and len(replayed) == len(found):
        # Equal to the last bit only if all of its cells are.
        return next((one for one in replayed if one.replay and one.replay.outcome != "equal"), replayed[0])
    detail = f"{len(replayed)} of {len(found)} results replayed here" if replayed else ""
    return State(SUBMITTED.name, detail)


def state_columns(state: State) -> dict[str, str | None]:
    """Return a state as columns of a table; what is not known is None."""
    replay = state.replay
    code = None
    if replay is not None and replay.commit:
        code = f"{replay.commit}{'-dirty' if replay.dirty else ''}"
    return {
        "state": state.name,
        "replay_outcome": replay.outcome if replay else None,
        "replayed_by": replay.by if replay else None,
        "replayed_on": replay.date if replay else None,
        "replay_platform": (replay.platform or None) if replay else None,
        "replay_commit": code,
    }
