"""Findings about a plugin from its metadata, without running any of its code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from importlib import metadata

from srbench import __version__
from srbench.cli.plugin_report import Finding
from srbench.errors import NameSyntaxError
from srbench.registry import entry_points as plugins
from srbench.registry.entry_points import Contribution, PluginStatus
from srbench.registry.names import ModelName, parse
from srbench.registry.plugin_filter import normalized

__all__ = ["metadata_findings"]

# Valid names of the parts of a model's name, and other valid names, which options separate by commas.
_IN_MODELS = frozenset({"backbones", "baselines", "architectures", "methods"})
_OTHER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VALUE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def metadata_findings(
    dist: metadata.Distribution, contributed: Collection[Contribution], reserved: Mapping[str, Collection[str]]
) -> Iterator[Finding]:
    """Yield problems with a distribution's requirements, groups and names.

    Args:
        dist: The distribution.
        contributed: Its contributions.
        reserved: Kind -> names of built-in commands and figures, which plugins cannot take.
    """
    yield from _requirement(dist)
    yield from _groups(dist)
    for item in contributed:
        yield from _name(item)
        yield from _taken(item, reserved)


def _requirement(dist: metadata.Distribution) -> Iterator[Finding]:
    if wrong := plugins.incompatibility(dist):
        cause, _, remedy = wrong.partition("; ")
        yield Finding(PluginStatus.INCOMPATIBLE, "", cause, remedy)
    elif normalized(dist.name) != plugins.CORE and plugins.requirement(dist) is None:
        major, minor, *_ = __version__.split(".")
        yield Finding(
            PluginStatus.WARNING,
            "",
            "it does not require sr-bench, so the versions it supports are unknown",
            f'add "sr-bench>={major}.{minor},<{major}.{int(minor) + 1}" to its `dependencies`',
        )


def _groups(dist: metadata.Distribution) -> Iterator[Finding]:
    known = {f"srbench.{kind}" for kind in plugins.GROUPS}
    for group in sorted({entry.group for entry in dist.entry_points if entry.group.startswith("srbench.")} - known):
        near = difflib.get_close_matches(group, sorted(known), n=1, cutoff=0.5)
        yield Finding(
            PluginStatus.BROKEN,
            "",
            f"sr-bench has no entry-point group '{group}' and ignores it",
            f"write '{near[0]}'" if near else f"the groups are {', '.join(sorted(known))}",
        )


def _name(item: Contribution) -> Iterator[Finding]:
    about = f"{item.kind}/{item.name}"
    if not _VALUE.fullmatch(item.value.partition("[")[0].strip()):
        yield Finding(
            PluginStatus.BROKEN,
            about,
            f"'{item.value}' does not give the location of the object",
            "write package.module:attribute",
        )
    if not _can_be_written(item):
        rule = (
            "a letter, then letters, digits and underscores"
            if item.kind in _IN_MODELS
            else "BACKBONE[+METHOD].TAG, without arguments"
            if item.kind == "weights"
            else "letters, digits, dots, dashes and underscores"
        )
        yield Finding(
            PluginStatus.BROKEN,
            about,
            f"the name '{item.name}' is not valid in a model name or an option",
            f"choose a name of this form: {rule}",
        )


def _can_be_written(item: Contribution) -> bool:
    if item.kind == "weights":
        try:
            return parse(item.name).tag is not None and not parse(item.name).args
        except NameSyntaxError:
            return False
    if item.kind in _IN_MODELS:
        try:
            return ":" not in item.name and ModelName(item.name) is not None and "/" not in item.name
        except NameSyntaxError:
            return False
    return _OTHER_NAME.fullmatch(item.name) is not None


def _taken(item: Contribution, reserved: Mapping[str, Collection[str]]) -> Iterator[Finding]:
    about, noun = f"{item.kind}/{item.name}", item.kind[:-1]
    if item.name in reserved.get(item.kind, ()):
        yield Finding(
            PluginStatus.BROKEN,
            about,
            f"`srbench {'figure ' if item.kind == 'figures' else ''}{item.name}` is a command of sr-bench and hides it",
            f"choose another name; until then it is `{item.qualified}`",
        )
        return
    if item.kind == "suites" and _is_own_suite(item.name):
        yield Finding(
            PluginStatus.BROKEN,
            about,
            f"the name is taken: '{item.name}' is a suite of sr-bench",
            f"choose another name; until then it is '{item.qualified}'",
        )
        return
    everyone = [*plugins.contributions()[item.kind].get(item.name, ())]
    if item.kind in ("backbones", "baselines"):
        other = "baselines" if item.kind == "backbones" else "backbones"
        everyone += plugins.contributions()[other].get(item.name, ())
    others = [other for other in everyone if other is not item]
    stronger = [other for other in others if plugins.precedence(other) < plugins.precedence(item)]
    equal = [other for other in others if plugins.precedence(other) == plugins.precedence(item)]
    if stronger:
        yield Finding(
            PluginStatus.BROKEN,
            about,
            f"the name is taken: {noun} '{item.name}' means that of {stronger[0].distribution}",
            f"choose another name; until then it is '{item.qualified}'",
        )
    elif equal:
        owners = ", ".join(sorted({other.distribution for other in (*equal, item)}))
        yield Finding(
            PluginStatus.BROKEN,
            about,
            f"{noun} '{item.name}' is claimed by {owners}",
            f"uninstall one of them, or write '{item.qualified}'",
        )


def _is_own_suite(name: str) -> bool:
    from importlib import resources

    return _OTHER_NAME.fullmatch(name) is not None and (resources.files("srbench.suites") / f"{name}.yaml").is_file()
