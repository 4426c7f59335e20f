"""The command that measures a row again."""

from __future__ import annotations

import shlex

from srbench.leaderboard.entries import Entry

__all__ = ["replay_command"]


def replay_command(folder: str, entry: Entry) -> str:
    """Return the command that measures a row again on all of its data sets, in a checkout of the boards.

    Args:
        folder: The folder of the suite's results in `leaderboards`.
        entry: The row.
    """
    record = entry.record
    words = ["srbench", "replay", f"leaderboards/{folder}/results", "--model", record.model]
    return shlex.join([*words, "--scale", str(record.scale), "--protocol", record.protocol])
