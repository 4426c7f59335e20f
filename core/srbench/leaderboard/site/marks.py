"""Marks on a row: short remarks beside its figures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from srbench.leaderboard.entries import Entry

__all__ = ["OTHER_CODE", "Mark", "marks"]


@dataclass(frozen=True)
class Mark:
    """A mark: its text, and whether it warns."""

    text: str
    warns: bool = False


OTHER_CODE = "code changed since"


def marks(entry: Entry, other_code: Collection[str]) -> list[Mark]:
    """Return the marks of an entry.

    Args:
        entry: A row of a board.
        other_code: Keys of cells whose code has changed since they were measured.
    """
    found = []
    record = entry.record
    if any(key in other_code for key in entry.keys):
        found.append(Mark(OTHER_CODE, warns=True))
    if entry.leaks:
        found.append(Mark(f"trained on images of {', '.join(sorted(entry.leaks))}", warns=True))
    if entry.third_party:
        found.append(Mark(f"trained by a third party: {entry.third_party}", warns=True))
    if entry.added:
        found.append(Mark("added: not in the suite itself"))
    if record.training is not None:
        seeds = f"seed {entry.seeds[0]}" if len(entry.seeds) == 1 else f"{len(entry.seeds)} seeds averaged"
        found.append(Mark(f"{record.training.iterations:,} iterations, {seeds}"))
    elif record.weights_sha256 and not record.tag:
        found.append(Mark(f"weights from a file, SHA-256 {record.weights_sha256[:8]}…"))
    return found
