"""The HTML page: a single file with its style, script, charts and crops, which needs no network access."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable
from functools import cache
from importlib import resources

from markupsafe import Markup

from srbench.leaderboard.boards import Board, Results
from srbench.leaderboard.chart import SIZE, WORK, Axis, chart, series_of, worth_drawing
from srbench.leaderboard.costs import has_costs
from srbench.leaderboard.curves import board_curves
from srbench.leaderboard.pictures import crop_strips
from srbench.leaderboard.published_tables import published_rows
from srbench.leaderboard.rendering import environment
from srbench.leaderboard.statistics import FEW_IMAGES
from srbench.leaderboard.timings import timing_note

__all__ = ["html_text", "index_text"]

MANY = 6  # most names listed in a sentence; the rest is counted
WIDE, HALF, NARROW = (1180, 460), (580, 410), (344, 350)


def html_text(results: Results, other_code: Collection[str] = frozenset()) -> str:
    """Return the whole page; equal results give equal bytes.

    Args:
        results: The results to show.
        other_code: Keys of cells whose code has changed since they were measured; their rows are marked.
    """
    boards = [
        {
            "board": board,
            "methods": series_of(board),
            "curves": board_curves(board, series_of(board)),
            "pictures": [
                {"axis": axis, "figures": figures}
                for axis in (SIZE, WORK)
                if (axis is SIZE or worth_drawing(board, axis)) and (figures := _figures(board, axis))
            ],
            "strips": crop_strips(board),
            "explanation": results.info.explanations.get(board.digest, "") if results.info else "",
            "few": min((dataset.images for dataset in board.datasets), default=0) < FEW_IMAGES,
            "costs": has_costs([board]),
            "means": len(board.datasets) > 1,
            "columns": 6
            + (len(board.datasets) > 1)
            + has_costs([board])
            + bool(board.latency)
            + _has_trainings(board)
            + len(board.datasets) * len(board.metrics),
            "timed": bool(board.latency),
            "timing_note": timing_note(board.latency[0]) if board.latency else "",
            "trained": _has_trainings(board),
            "published": published_rows(board),
            "other_code": _made_by_other_code(board, other_code),
        }
        for board in results.boards
    ]
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            results=results,
            title=results.title,
            boards=boards,
            facts=_facts(results),
            firsts=_list(dict.fromkeys(board.first.title for board in results.boards)) or "PSNR",
            lower=_list(
                dict.fromkeys(how.title for board in results.boards for how in board.styles.values() if how.sign < 0)
            ),
            few_images=FEW_IMAGES,
            MANY=MANY,
            script=Markup(_asset("sort.js")),
            script_hash=_hash(_asset("sort.js")),
            style_sheet=Markup(_asset("style.css")),
        )
    )


def _has_trainings(board: Board) -> bool:
    return any(entry.trained_on is not None for entry in board.entries)


def _made_by_other_code(board: Board, keys: Collection[str]) -> set[str]:
    """Return the labels of the entries with a cell among these keys."""
    entries = [*board.baselines, *(entry for group in board.groups for entry in group.entries)]
    return {
        entry.label
        for entry in entries
        if any(not set(record.key.split()).isdisjoint(keys) for record in entry.records.values())
    }


def index_text(suites: list[dict[str, object]]) -> str:
    """Return the page that links the suites' pages, from the facts that `publish.build_index` collects per suite."""
    return (
        environment()
        .get_template("index.html.j2")
        .render(suites=suites, MANY=MANY, style_sheet=Markup(_asset("style.css")))
    )


@cache
def _asset(name: str) -> str:
    # The script and the style sheet are our own, and the only texts that are inserted without escaping.
    return resources.files("srbench.leaderboard").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Return the hash of an inline script for the content security policy, so that browsers run no other script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _figures(board: Board, axis: Axis) -> list[dict[str, object]]:
    """Return the charts over one axis, each laid out for wide and for narrow screens with text of the same size."""
    places = [(group, dataset.label) for group in board.groups for dataset in board.datasets]
    figures: list[dict[str, object]] = []
    for group, label in places:
        width, height = WIDE if len(places) == 1 else HALF
        wide = chart(board, group, label, width=width, height=height, axis=axis)
        narrow = chart(board, group, label, width=NARROW[0], height=NARROW[1], axis=axis)
        if wide is not None and narrow is not None:
            figures.append({"group": group, "dataset": label, "wide": wide, "narrow": narrow})
    return figures


def _facts(results: Results) -> dict[str, str]:
    """Return the facts in the page's header about the origin of the figures."""
    records = results.records
    versions = sorted({(name, version) for record in records for name, version in record.versions.items()})
    plugins = sorted({(name, version) for record in records for name, version in record.plugins.items()})
    order = {"srbench": 0, "torch": 1, "numpy": 2, "python": 3}
    versions.sort(key=lambda item: (order.get(item[0], 9), item))
    days = sorted({record.created[:10] for record in records})
    return {
        "measured": " to ".join(sorted({days[0], days[-1]})) if days else "",
        "software": _list(f"{name} {version}" for name, version in versions),
        "plugins": _list(f"{name} {version}" for name, version in plugins),
    }


def _list(items: Iterable[str]) -> str:
    return ", ".join(items)
