"""Columns and cells of a board's table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cell", "Column"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Identifier for scripts.
        title: Heading; `over` is written above it.
        spoken: Name in a sentence.
        number: Whether it contains numbers.
        down: Whether it is sorted in descending order first.
        shown: Whether it is shown initially.
        dataset: Its data set; empty for columns of the whole board.
    """

    key: str
    title: str
    over: str = ""
    spoken: str = ""
    number: bool = True
    down: bool = False
    shown: bool = True
    dataset: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell: its text, its sort key, small texts below, and its CSS class."""

    text: str
    sort: str = ""
    subs: tuple[str, ...] = ()
    kind: str = ""
