"""What tables and pages say in words about a tier's ranks."""

from __future__ import annotations

import math

from srbench.leaderboard.entries import Group, Resolution
from srbench.leaderboard.short_names import Style

__all__ = ["rank_note", "resolution_notes"]


def rank_note(group: Group) -> str:
    """Say how ranks and their intervals are to be read; nothing where there is nothing to compare."""
    ranked = len(group.ranked)
    if ranked < 2:
        return ""
    if all(entry.standing and entry.standing.interval == f"1\N{EN DASH}{ranked}" for entry in group.ranked):
        return "Ranks are those of the means. These images cannot tell any two of the models apart."
    return "Ranks are those of the means; beside them, the ranks left open at 95%, for all models together."


def resolution_notes(group: Group, style: Style) -> list[str]:
    """Say which differences of means would be told apart, once for each family."""
    return [_resolution_note(one, style) for one in group.resolutions if math.isfinite(one.median)]


def _resolution_note(one: Resolution, style: Style) -> str:
    least, median, largest = (
        f"{value:.{style.fine}f}" if math.isfinite(value) else "more" for value in (one.least, one.median, one.largest)
    )
    unit = f" {style.unit}" if style.unit else ""
    whose = f"Of trainings of {one.family}, these" if one.family else "These"
    if least == largest:
        return f"{whose} images tell two models apart from a difference of about {median}{unit} on."
    return (
        f"{whose} images tell two models apart from a difference of {least} to {largest}{unit} on, "
        f"depending on the pair (median {median}{unit})."
    )
