"""Select plugins by the environment variable SRBENCH_PLUGINS, which allows or excludes distributions.

    SRBENCH_PLUGINS=ps,zoo      only these, and sr-bench itself
    SRBENCH_PLUGINS=-my-plugin  all but this one
    SRBENCH_PLUGINS=sr-bench    none

A name is a distribution's; `ps` also means `sr-bench-ps`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["VARIABLE", "PluginFilter", "named", "normalized"]

VARIABLE = "SRBENCH_PLUGINS"
_CORE = "sr-bench"


def normalized(name: str) -> str:
    """Return a distribution's name as normalized by pip: in lower case, with single dashes."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(text: str, distributions: Iterable[str]) -> str | None:
    """Return the distribution that a text names, or None: `ps` is `sr-bench-ps`, `foo` also `srbench-foo`.

    Args:
        text: A name, in any spelling that pip takes, with or without the prefix.
        distributions: Normalized names.
    """
    known, wanted = set(distributions), normalized(text)
    return next((name for name in (wanted, f"{_CORE}-{wanted}", f"srbench-{wanted}") if name in known), None)


@dataclass(frozen=True)
class PluginFilter:
    """The selection of distributions.

    Attributes:
        allowed: Normalized names; none means all.
        forbidden: Normalized names that are excluded.
    """

    allowed: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls) -> PluginFilter:
        """Read SRBENCH_PLUGINS; if it is not set, every plugin is used."""
        names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
        return cls(
            frozenset(normalized(name) for name in names if name and not name.startswith("-")),
            frozenset(normalized(name[1:]) for name in names if len(name) > 1 and name.startswith("-")),
        )

    @property
    def is_empty(self) -> bool:
        """Whether every plugin is used."""
        return not self.allowed and not self.forbidden

    def allows(self, distribution: str) -> bool:
        """Return whether a distribution, by its normalized name, is used; sr-bench itself always is."""
        if distribution == _CORE:
            return True
        names = {distribution, distribution.removeprefix(f"{_CORE}-")}
        return not names & self.forbidden and (not self.allowed or bool(names & self.allowed))

    def unknown(self, installed: set[str]) -> list[str]:
        """Return the names in SRBENCH_PLUGINS without an installed plugin."""
        known = {_CORE, *installed, *(name.removeprefix(f"{_CORE}-") for name in installed)}
        return sorted((self.allowed | self.forbidden) - known)
