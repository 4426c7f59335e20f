"""The command that measures a row again."""

from __future__ import annotations

import shlex

from srbench.leaderboard.entries import Entry

__all__ = ["replay_command"]


def replay_command(folder: str, entry: Entry) -> str:
    """Return the command line, to be run beside the folder `leaderboards`."""
    key = next(iter(entry.records.values())).key.split()[0]
    return f"srbench replay {shlex.quote(f'leaderboards/{folder}/results')} {key[:12]}"
