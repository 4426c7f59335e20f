"""Crops of the SR images, side by side."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from srbench.errors import StoreError
from srbench.leaderboard.boards import Board, Entry
from srbench.leaderboard.short_names import Style
from srbench.untrusted import read_bytes

__all__ = ["Picture", "Strip", "crop_strips", "data_address"]

SR = ".sr.png"
HR = ".hr.png"
SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """One crop: its title, the metric on the whole image, and its URL."""

    title: str
    detail: str
    source: str
    width: int
    height: int
    kind: str  # "hr", "baseline" or "model"


@dataclass(frozen=True)
class Strip:
    """The same region of one image: HR, models without parameters, then the others in the order of the table."""

    image: str
    dataset: str
    pictures: list[Picture]


def data_address(data: bytes) -> str:
    """Return a `data:` URL that contains a PNG file."""
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def crop_strips(board: Board, address: Callable[[bytes], str] = data_address) -> list[Strip]:
    """Collect the crops of freely licensed images; unreadable files are left out.

    Args:
        board: The board.
        address: Returns the URL that a page uses for a PNG file with this content.
    """
    strips = []
    for dataset in board.datasets:
        having = [entry for entry in board.entries if _names(entry, dataset.label)]
        known = set(map(id, having))
        for image in sorted({name for entry in having for name in _names(entry, dataset.label)}):
            original = next(
                filter(None, (_picture(entry, dataset.label, image, HR, address) for entry in having)), None
            )
            ordered = board.baselines + [entry for group in board.groups for entry in group.entries]
            shown = []
            for entry in ordered:
                picture = _picture(entry, dataset.label, image, SR, address) if id(entry) in known else None
                if picture is None:
                    continue
                shown.append(_described(entry, dataset.label, image, board.metrics[0], board.first, picture))
            if shown:
                first = [Picture("Original (HR)", "", *original, "hr")] if original else []
                strips.append(Strip(image, dataset.label, first + shown))
    return strips


def _names(entry: Entry, label: str) -> list[str]:
    record = entry.records.get(label)
    if record is None or not record.redistributable:
        return []
    return [Path(name).name.removesuffix(SR) for name in record.crops if name.endswith(SR)]


def _described(entry: Entry, label: str, image: str, metric: str, how: Style, picture: tuple[str, int, int]) -> Picture:
    values = entry.images[label]
    detail = ""
    if image in values.names and metric in values:
        detail = f"{float(values[metric][values.names.index(image)]):.{how.decimals}f} {how.unit}".rstrip()
    return Picture(entry.label, detail, *picture, "baseline" if entry.is_baseline else "model")


def _picture(
    entry: Entry, label: str, image: str, ending: str, address: Callable[[bytes], str]
) -> tuple[str, int, int] | None:
    """Return a crop's URL, width and height, or None if it is not a readable PNG file."""
    name = next((name for name in entry.records[label].crops if Path(name).name == image + ending), None)
    if name is None:
        return None
    root = entry.directories[label]
    path = root / name
    # A record may come from elsewhere: it must not make the page include other files of this machine.
    if not path.resolve().is_relative_to(root.resolve()):
        return None
    try:
        data = read_bytes(path, error=StoreError)
    except StoreError:
        return None
    if not data.startswith(SIGNATURE) or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return address(data), width, height
