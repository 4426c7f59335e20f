"""Find installed plugins from metadata, load them on first use, and diagnose those that cannot be loaded.

A plugin is a distribution with entry points in groups such as `srbench.methods` (`GROUPS` lists them). The versions of
sr-bench that it supports are given by its requirement on `sr-bench` (`Requires-Dist`), which pip also reads. A name can
be qualified by its distribution, `DIST:NAME`; an unqualified name of sr-bench or of one of its extras always refers to
theirs.
"""

from __future__ import annotations

import enum
import functools
import importlib
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from srbench import __version__
from srbench.errors import PluginError
from srbench.registry.extras import EXTRAS
from srbench.registry.import_guard import Terminated, stdout_to_stderr
from srbench.registry.object_types import wrong_type
from srbench.registry.plugin_filter import PluginFilter, normalized

__all__ = [
    "CORE",
    "GROUPS",
    "Contribution",
    "Outcome",
    "PluginStatus",
    "attempt",
    "claims",
    "contributions",
    "distributions",
    "incompatibility",
    "left_out",
    "load",
    "requirement",
]

CORE = "sr-bench"

GROUPS = (
    "backbones", "baselines", "architectures", "methods", "metrics", "protocols", "datasets", "suites", "weights",
    "commands", "figures", "executors", "paths",
)  # fmt: skip

# A model's name begins with a name of either kind, so names must be unique across both.
_SHARED_NAMES = {"backbones": "baselines", "baselines": "backbones"}


class PluginStatus(enum.Enum):
    """Status of a plugin in `srbench plugins` and `srbench plugins doctor`."""

    OK = "ok"
    WARNING = "warning"
    LEFT_OUT = "left out"
    INCOMPATIBLE = "incompatible"
    MISSING_DEPENDENCY = "missing dependency"
    BROKEN = "broken"


@dataclass(frozen=True)
class Contribution:
    """One entry point: a kind, a name and the location of its object.

    Attributes:
        kind: One of `GROUPS`.
        name: The registered name.
        value: `module:attribute`.
        entry: The entry point itself.
    """

    kind: str
    name: str
    value: str
    entry: metadata.EntryPoint

    @property
    def distribution(self) -> str:
        """Name and version of the distribution that contributes it."""
        dist = self.entry.dist
        return f"{dist.name} {dist.version}" if dist is not None else "(unknown distribution)"

    @property
    def owner(self) -> str:
        """Normalized name of the distribution that contributes it; empty if unknown."""
        return normalized(self.entry.dist.name) if self.entry.dist is not None else ""

    @property
    def qualified(self) -> str:
        """The unambiguous name of this contribution, `DIST:NAME`."""
        return f"{self.owner}:{self.name}"


@dataclass(frozen=True)
class Outcome:
    """The outcome of importing an object.

    Attributes:
        status: Whether it can be used.
        detail: What is wrong and how to fix it; empty if it is OK.
        traceback: Traceback if the plugin failed; otherwise empty.
        obj: The object; None if it cannot be used.
    """

    status: PluginStatus
    detail: str = ""
    traceback: str = ""
    obj: Any = None


@functools.cache
def _distributions() -> dict[str, metadata.Distribution]:
    """Return every distribution with an entry point in one of our groups: normalized name -> distribution."""
    found: dict[str, metadata.Distribution] = {}
    for dist in metadata.distributions():
        # Most distributions have none, so their names, stored in another file, need not be read.
        if "[srbench." in (dist.read_text("entry_points.txt") or "") and dist.name:
            found.setdefault(normalized(dist.name), dist)  # the first on the path is the one that gets imported
    return found


@functools.cache
def _installed() -> dict[str, dict[str, tuple[Contribution, ...]]]:
    """Return kind -> name -> contributions of every installed distribution, including those excluded by the user."""
    found: dict[str, dict[str, tuple[Contribution, ...]]] = {kind: {} for kind in GROUPS}
    for dist in _distributions().values():
        for entry in dist.entry_points:
            prefix, _, kind = entry.group.partition(".")
            if prefix == "srbench" and kind in found:
                item = Contribution(kind, entry.name, entry.value, entry)
                found[kind][entry.name] = (*found[kind].get(entry.name, ()), item)
    return found


@functools.cache
def contributions() -> dict[str, dict[str, tuple[Contribution, ...]]]:
    """Return kind -> name -> contributions, from metadata alone.

    Plugins that the environment variable SRBENCH_PLUGINS excludes are not included.
    """
    chosen = PluginFilter.from_environment()
    if chosen.is_empty:
        return _installed()
    return {
        kind: {
            name: kept for name, items in names.items() if (kept := tuple(i for i in items if chosen.allows(i.owner)))
        }
        for kind, names in _installed().items()
    }


def distributions() -> dict[str, metadata.Distribution]:
    """Return every plugin distribution and sr-bench, including excluded ones: normalized name -> distribution."""
    return dict(sorted(_distributions().items()))


def left_out(kind: str, name: str) -> Contribution | None:
    """Return the contribution with this name that SRBENCH_PLUGINS excludes, or None."""
    dist, _, bare = name.rpartition(":")
    for item in _installed()[kind].get(bare, ()):
        if (not dist or normalized(dist) == item.owner) and not PluginFilter.from_environment().allows(item.owner):
            return item
    return None


def claims(kind: str, name: str) -> tuple[Contribution, ...]:
    """Return the contributions that a name may refer to: none, one, or several if plugins claim the same name.

    Args:
        kind: One of `GROUPS`.
        name: A name, or `DIST:NAME` for the contribution of one distribution.
    """
    dist, colon, bare = name.rpartition(":")
    items = contributions()[kind].get(bare, ())
    if colon:
        return tuple(item for item in items if item.owner == normalized(dist))
    if not items or (len(items) == 1 and kind not in _SHARED_NAMES):
        return items
    rivals: Sequence[Contribution] = contributions()[_SHARED_NAMES[kind]].get(name, ()) if kind in _SHARED_NAMES else ()
    first = min(map(precedence, (*items, *rivals)))
    return tuple(item for item in items if precedence(item) == first)


def precedence(item: Contribution) -> int:
    """Return the precedence of a contribution: 0 for sr-bench, 1 for its extras, 2 for other distributions."""
    if item.owner == CORE:
        return 0
    extra = item.owner.removeprefix(f"{CORE}-")
    return 1 if extra != item.owner and item.name in EXTRAS.get(extra, {}).get(item.kind, ()) else 2


def load(item: Contribution) -> Any:
    """Import and return the object behind a contribution.

    Raises:
        PluginError: The plugin requires another version of sr-bench, lacks a dependency, fails at import, or its object
            does not have the type of its kind.
    """
    found = attempt(item)
    if found.status is not PluginStatus.OK:
        raise PluginError(
            f"{item.kind[:-1]} '{item.name}' of {item.distribution} cannot be used ({found.status.value}): "
            f"{found.detail}"
        )
    return found.obj


def attempt(item: Contribution, *, guarded: bool = True) -> Outcome:
    """Import the object behind a contribution and return the outcome.

    Args:
        item: The contribution.
        guarded: Whether to keep the plugin's output off standard output.
    """
    if wrong := incompatibility(item.entry.dist):
        return Outcome(PluginStatus.INCOMPATIBLE, wrong)
    module_name, _, attribute = item.value.partition(":")
    own = not guarded or module_name in sys.modules or item.owner == CORE
    try:
        with nullcontext() if own else stdout_to_stderr():
            obj: Any = importlib.import_module(module_name)
        for part in filter(None, attribute.split(".")):
            obj = getattr(obj, part)
    except ModuleNotFoundError as error:
        top = module_name.split(".")[0]
        if error.name is not None and error.name.split(".")[0] != top:
            return Outcome(
                PluginStatus.MISSING_DEPENDENCY,
                f"it needs the module '{error.name}', which is not installed; reinstall the plugin with pip",
            )
        return Outcome(PluginStatus.BROKEN, f"{error}; report it to the plugin's authors", traceback.format_exc())
    except PluginError as error:
        return Outcome(PluginStatus.MISSING_DEPENDENCY, str(error))
    except (KeyboardInterrupt, Terminated):
        raise
    except SystemExit as error:
        detail = f"it ends the program when it is imported (SystemExit: {error.code}); report it to its authors"
        return Outcome(PluginStatus.BROKEN, detail, traceback.format_exc())
    except BaseException as error:  # a plugin may raise anything, which must not end the command line
        detail = (
            f"{type(error).__name__}: {error}; `srbench plugins doctor` shows the traceback to report to its authors"
        )
        return Outcome(PluginStatus.BROKEN, detail, traceback.format_exc())
    if wrong := wrong_type(item.kind, obj, item.value):
        return Outcome(PluginStatus.BROKEN, wrong)
    return Outcome(PluginStatus.OK, obj=obj)


def requirement(dist: metadata.Distribution) -> str | None:
    """Return the versions of sr-bench that a distribution requires, such as `>=0.1,<0.2`, or None."""
    from packaging.requirements import InvalidRequirement, Requirement

    for line in dist.requires or ():
        try:
            found = Requirement(line)
        except InvalidRequirement:
            continue
        # A plugin may require extras of sr-bench as well; requirements of its own extras are ignored.
        if normalized(found.name) == CORE and (found.marker is None or "extra" not in str(found.marker)):
            return ",".join(sorted(map(str, found.specifier), key=lambda one: (one[0] != ">", one)))
    return None


def incompatibility(dist: metadata.Distribution | None) -> str:
    """Return why a distribution is incompatible with this sr-bench, and what to do; empty if it is compatible."""
    if dist is None or normalized(dist.name) == CORE:
        return ""
    wanted = requirement(dist)
    if not wanted:
        return ""
    from packaging.specifiers import SpecifierSet

    if SpecifierSet(wanted).contains(__version__, prereleases=True):
        return ""
    return (
        f"it was written for sr-bench {wanted} and this is {__version__}; "
        f"upgrade one of the two: pip install -U sr-bench {dist.name}"
    )
