"""The state of a row: submitted or replayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from srbench.results.replays import Replay, read_replays

__all__ = ["SUBMITTED", "State", "read_states", "state_of_row"]


@dataclass(frozen=True)
class State:
    """The state of a row's figures.

    Attributes:
        name: `submitted`, `replayed here`, `replay differs` or `replay failed`.
        detail: By whom, when and where it was replayed; empty if it was not.
    """

    name: str
    detail: str = ""


SUBMITTED = State("submitted")


def read_states(results_dir: Path) -> Mapping[str, State]:
    """Return the states of a store's cells by key, without cells that were not replayed.

    Raises:
        StoreError: The store's list of replays cannot be read.
    """
    return {key: _state(replay) for key, replay in read_replays(results_dir).items()}


def _state(replay: Replay) -> State:
    where = [replay.by, replay.date[:10], replay.platform, replay.commit and f"commit {replay.commit[:10]}"]
    detail = ", ".join(part for part in [replay.outcome, *where] if part)
    if replay.outcome in ("equal", "within tolerance"):
        return State("replayed here", detail)
    return State("replay failed" if replay.outcome == "failed" else "replay differs", detail)


def state_of_row(keys: Iterable[str], states: Mapping[str, State]) -> State:
    """Return the state of a row: the weakest state of its cells."""
    found = [states.get(key, SUBMITTED) for key in keys]
    worst = [state for state in found if state.name.startswith("replay ")]
    if worst:
        return worst[0]
    replayed = [state for state in found if state != SUBMITTED]
    if found and len(replayed) == len(found):
        return replayed[0]
    detail = f"{len(replayed)} of {len(found)} data sets replayed here" if replayed else ""
    return State(SUBMITTED.name, detail)
