"""Tie groups: rows whose ranks cannot be told from that of the group's first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from srbench.leaderboard.entries import Entry, Group

__all__ = ["letters", "tie_groups"]


def letters(index: int) -> str:
    """Return A, B, ..., Z, AA, AB, ... for 0, 1, ..."""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def tie_groups(group: Group) -> Iterator[tuple[Entry, str]]:
    """Yield the entries of a tier in their order, each with the letter of its tie group, empty for one without a rank.

    A group begins with the first row that is in none, and has the following rows whose ranks left open begin no later
    than that row's end.
    """
    names = (letters(index) for index in count())
    letter, last = "", 0
    for entry in group.entries:
        if entry.standing is None:
            yield entry, ""
            continue
        if not letter or entry.standing.best > last:
            letter, last = next(names), entry.standing.worst
        yield entry, letter
