"""Notes in tables and on pages about the ranks of a tier."""

from __future__ import annotations

import math
from collections.abc import Iterable

from srbench.leaderboard.entries import Entry, Group, Resolution
from srbench.leaderboard.short_names import Style
from srbench.leaderboard.states import SUBMITTED

__all__ = ["LEAK_MARK", "leak_note", "marked_label", "rank_note", "replay_notes", "resolution_notes"]

LEAK_MARK = "\N{DAGGER}"


def marked_label(entry: Entry) -> str:
    """Return a model's label, marked if it was added to the suite, or trained by a third party or on test images."""
    label = f"{entry.label} (third party)" if entry.third_party else entry.label
    label = f"{label} (added)" if entry.added else label
    return f"{label} {LEAK_MARK}" if entry.leaks else label


def leak_note(entries: Iterable[Entry]) -> str:
    """Return which test images the marked models were trained on; empty if none is marked."""
    found = {(leak.train, leak.test): leak for entry in entries for leak in entry.leaks.values()}
    if not found:
        return ""
    listed = "; ".join(
        f"{leak.images} of {leak.test_images} images of {leak.test} in {leak.train}" for leak in found.values()
    )
    return f"{LEAK_MARK} Trained on test images, entirely or in part: {listed}."


def replay_notes(entries: Iterable[Entry]) -> list[str]:
    """Say how the rows that were measured again came out, by whom, when and where: once for all that are alike."""
    alike: dict[str, list[str]] = {}
    for entry in entries:
        state = entry.state
        if state.detail:
            said = state.detail if state.name == SUBMITTED.name else f"{state.name}: {state.detail}"
            alike.setdefault(said, []).append(entry.label)
    return [f"{said[0].upper()}{said[1:]} ({', '.join(labels)})." for said, labels in alike.items()]


def rank_note(group: Group) -> str:
    """Explain ranks and rank intervals; empty if there is nothing to compare."""
    ranked = len(group.ranked)
    if ranked < 2:
        return ""
    if all(entry.standing and entry.standing.interval == f"1\N{EN DASH}{ranked}" for entry in group.ranked):
        return "Models are ranked by their means. These images cannot distinguish any two of the models."
    return "Models are ranked by their means. The rank intervals hold at 95% for all models together."


def resolution_notes(group: Group, style: Style) -> list[str]:
    """Return which differences of means are significant, in a sentence for each family."""
    return [_resolution_note(one, style) for one in group.resolutions if math.isfinite(one.median)]


def _resolution_note(one: Resolution, style: Style) -> str:
    least, median, largest = (f"{value:.{style.fine}f}" for value in (one.least, one.median, one.largest))
    unit = f" {style.unit}" if style.unit else ""
    whose = f"Two models of {one.family}" if one.family else "Two models"
    if least == largest:
        return f"{whose} can be distinguished on these images if their means differ by {median}{unit} or more."
    return (
        f"{whose} can be distinguished on these images if their means differ by {least} to {largest}{unit} or more, "
        f"depending on the pair (median {median}{unit})."
    )
