"""Tie groups: rows whose rank intervals overlap that of the group's first row."""

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
    """Yield the entries of a tier in order, each with the letter of its tie group, empty for one without a rank.

    A group consists of the first row that is not in a group yet, and the following rows whose rank intervals start no
    later than the end of that row's interval.
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
