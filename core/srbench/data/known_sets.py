"""Data sets that users download by hand and register: what they are, their terms, where they are published."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["KnownSet", "Link", "how_to_register", "known_set", "known_sets"]


@dataclass(frozen=True)
class Link:
    """Where a data set is published.

    Attributes:
        url: The page or archive.
        named_by: Who gives this link.
        checked: The date on which it last answered, or None if it was never requested.
    """

    url: str
    named_by: str
    checked: str | None


@dataclass(frozen=True)
class KnownSet:
    """A data set that sr-bench may not distribute and has no pixel hashes of.

    Attributes:
        name: The name to register it under.
        what: Which images.
        images: How many; None where different parts are in use.
        licence: Its terms.
        links: Where it is published, the original first.
    """

    name: str
    what: str
    images: int | None
    licence: str
    links: tuple[Link, ...]


@cache
def known_sets() -> tuple[KnownSet, ...]:
    """Return all of them."""
    text = resources.files("srbench.data").joinpath("known_sets.json").read_text(encoding="utf-8")
    return tuple(
        KnownSet(
            entry["name"],
            entry["what"],
            entry["images"],
            entry["licence"],
            tuple(Link(**link) for link in entry["links"]),
        )
        for entry in json.loads(text)["sets"]
    )


def known_set(name: str) -> KnownSet | None:
    """Return the known set of a name, whatever its case; None if there is none."""
    return next((one for one in known_sets() if one.name.lower() == name.lower()), None)


def how_to_register(one: KnownSet) -> str:
    """Return what to download by hand and which command to run, as one sentence."""
    places = " or ".join(f"{link.url} ({link.named_by})" for link in one.links)
    return (
        f"'{one.name}' is not registered: download {one.what} by hand from {places} (terms: {one.licence}), then run "
        f"`srbench data register {one.name} FOLDER`"
    )
