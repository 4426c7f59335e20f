"""Installed plugins: found from metadata, loaded when used, and what is wrong with those that cannot be.

A plugin is a distribution with entry points in groups such as `srbench.methods` (`GROUPS` lists them). The range of
sr-bench that it was written for is its own requirement on `sr-bench` (`Requires-Dist`): pip and this module read the
same line.
"""

from __future__ import annotations

import enum
import functools
import importlib
import traceback
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from srbench import __version__
from srbench.errors import PluginError

__all__ = ["GROUPS", "PluginReport", "PluginStatus", "contributions", "doctor", "load"]

GROUPS = (
    "backbones", "baselines", "architectures", "methods", "metrics", "protocols", "datasets", "suites", "weights",
    "commands", "figures",
)  # fmt: skip

# What the extras of this distribution would contribute, so that asking for one of these names without the plugin
# says what to install. A test compares the table with the plugins' own entry points.
EXTRAS: dict[str, dict[str, tuple[str, ...]]] = {
    "ps": {
        "methods": ("basis", "dsconv", "ps"),
        "backbones": ("carn", "carn_m", "drrn_b1u25", "drrn_b1u9", "rcan_g5b10", "srfbn_s"),
        "commands": ("compress", "swap"),
        "figures": ("coefficients", "filters", "size-quality", "wrong-scale"),
    },
    "sparse-mask": {
        "commands": ("sparsity",),
        "methods": ("sparse_mask",),
        "backbones": ("msrresnet", "smsr", "smsr_tiny", "srresnet", "srresnet_bn", "srresnet_tiny"),
        "figures": ("feature-sparsity", "features", "masks", "module-sparsity"),
    },
    "tied-tconv": {
        "methods": ("tied_tconv",),
        "backbones": (
            "lapsrn",
            "ms_lapsrn_r2",
            "ms_lapsrn_r5",
            "ms_lapsrn_r8",
            "ms_lapsrn_r8_ds",
            "ms_lapsrn_r8_ns",
            "ms_lapsrn_tiny",
        ),
    },
    "zoo": {
        "methods": ("reparam",),
        "backbones": (
            "ecbsr_et_m6c40",
            "ecbsr_m4c16",
            "ecbsr_m4c32",
            "ecbsr_m6c40",
            "etds_l",
            "etds_m",
            "etds_s",
            "etds_t",
            "lkdn",
            "lkdn_s",
            "smfanet",
            "smfanet_plus",
            "bsrn",
            "drcn",
            "ecbsr",
            "fsrcnn",
            "imdn",
            "imdn_tiny",
            "mdsr",
            "pan",
            "rlfn",
            "srvgg",
            "swinir_light",
            "vdsr",
            "dipnet",
            "efdn",
            "espan",
            "fmen",
            "lmlt_tiny",
            "plainusr",
            "plainusr_l",
            "plainusr_m",
            "plainusr_s",
            "plainusr_t",
            "plainusr_u",
            "rfdn_aim",
            "safmn_ntire23",
            "safmnpp",
            "span",
            "span_c28",
            "spanf",
        ),
    },
}


class PluginStatus(enum.Enum):
    """What `srbench plugins doctor` says of a plugin."""

    OK = "ok"
    INCOMPATIBLE = "incompatible"
    MISSING_DEPENDENCY = "missing dependency"
    BROKEN = "broken"


@dataclass(frozen=True)
class Contribution:
    """One entry point: a kind, a name and where its object is.

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


@dataclass(frozen=True)
class PluginReport:
    """What is known of one distribution.

    Attributes:
        distribution: Its name.
        version: Its version.
        status: Whether it can be used.
        detail: For a status other than OK, what is wrong and how to mend it.
        names: What it contributes, as `kind/name`.
        traceback: For a broken plugin, the traceback kept; empty otherwise.
    """

    distribution: str
    version: str
    status: PluginStatus
    detail: str
    names: tuple[str, ...]
    traceback: str = ""


@functools.cache
def contributions() -> dict[str, dict[str, tuple[Contribution, ...]]]:
    """Return kind -> name -> contributions, read from metadata without importing any plugin."""
    found: dict[str, dict[str, tuple[Contribution, ...]]] = {kind: {} for kind in GROUPS}
    entries = metadata.entry_points()  # scans every distribution once; selecting below reads no more files
    for kind in GROUPS:
        for entry in entries.select(group=f"srbench.{kind}"):
            item = Contribution(kind, entry.name, entry.value, entry)
            found[kind][entry.name] = (*found[kind].get(entry.name, ()), item)
    return found


def extra_for(kind: str, name: str) -> str | None:
    """Return the extra of sr-bench that would contribute the name, or None."""
    return next((extra for extra, kinds in EXTRAS.items() if name in kinds.get(kind, ())), None)


def load(item: Contribution) -> Any:
    """Import and return the object behind a contribution.

    Raises:
        PluginError: The plugin was written for another range of sr-bench, lacks a dependency or fails at import.
    """
    status, detail, _, obj = _try(item)
    if status is not PluginStatus.OK:
        raise PluginError(
            f"{item.kind[:-1]} '{item.name}' of {item.distribution} cannot be used ({status.value}): {detail}"
        )
    return obj


def _try(item: Contribution) -> tuple[PluginStatus, str, str, Any]:
    if wrong := _incompatibility(item.entry.dist):
        return PluginStatus.INCOMPATIBLE, wrong, "", None
    module_name, _, attribute = item.value.partition(":")
    try:
        obj: Any = importlib.import_module(module_name)
        for part in filter(None, attribute.split(".")):
            obj = getattr(obj, part)
    except ModuleNotFoundError as error:
        own = module_name.split(".")[0]
        if error.name is not None and error.name.split(".")[0] != own:
            detail = f"it needs the module '{error.name}', which is not installed; reinstall the plugin with pip"
            return PluginStatus.MISSING_DEPENDENCY, detail, "", None
        return PluginStatus.BROKEN, f"{error}; report it to the plugin's authors", traceback.format_exc(), None
    except PluginError as error:
        return PluginStatus.MISSING_DEPENDENCY, str(error), "", None
    except Exception as error:  # a plugin may fail in any way at all, and must not take the command line with it
        detail = (
            f"{type(error).__name__}: {error}; `srbench plugins doctor` shows the traceback to report to its authors"
        )
        return PluginStatus.BROKEN, detail, traceback.format_exc(), None
    if item.kind == "suites" and (wrong := _not_a_file(obj, item.value)):
        return PluginStatus.BROKEN, wrong, "", None
    return PluginStatus.OK, "", "", obj


def _not_a_file(obj: object, value: str) -> str:
    """Say what is wrong with a suite's object, which must be a path or a resource that is there; or nothing."""
    from importlib.resources.abc import Traversable

    if not isinstance(obj, Traversable):
        return f"'{value}' is a {type(obj).__name__}, not the pathlib.Path of a YAML file; report it to its authors"
    if not obj.is_file():
        return (
            f"'{value}' names the file '{obj}', which is not there; reinstall the plugin, or report it to its authors"
        )
    return ""


@functools.cache
def _requirement(dist_name: str) -> str | None:
    from packaging.requirements import InvalidRequirement, Requirement

    for line in metadata.requires(dist_name) or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.name.replace("_", "-").lower() == "sr-bench" and not requirement.extras:
            return str(requirement.specifier)
    return None


def _incompatibility(dist: metadata.Distribution | None) -> str:
    if dist is None or dist.name.replace("_", "-").lower() == "sr-bench":
        return ""
    wanted = _requirement(dist.name)
    if not wanted:
        return ""
    from packaging.specifiers import SpecifierSet

    if SpecifierSet(wanted).contains(__version__, prereleases=True):
        return ""
    return (
        f"it was written for sr-bench {wanted} and this is {__version__}; "
        f"upgrade one of the two: pip install -U sr-bench {dist.name}"
    )


def doctor() -> list[PluginReport]:
    """Load everything that every plugin contributes and report on each distribution, the broken ones first."""
    by_dist: dict[str, list[Contribution]] = {}
    clashes: dict[str, str] = {}
    for kind, names in contributions().items():
        for name, items in names.items():
            for item in items:
                by_dist.setdefault(item.distribution, []).append(item)
                if len(items) > 1:
                    others = ", ".join(sorted(i.distribution for i in items))
                    clashes[item.distribution] = f"{kind[:-1]} '{name}' is claimed by {others}; uninstall one of them"
    reports = []
    for dist, contributed in by_dist.items():
        status, detail, trace = PluginStatus.OK, "", ""
        if dist in clashes:
            status, detail = PluginStatus.BROKEN, clashes[dist]
        for item in contributed:
            if status is PluginStatus.OK:
                status, detail, trace, _ = _try(item)
        name, _, version = dist.rpartition(" ")
        names_of_dist = tuple(sorted(f"{i.kind}/{i.name}" for i in contributed))
        reports.append(PluginReport(name, version, status, detail, names_of_dist, trace))
    return sorted(reports, key=lambda r: (r.status is PluginStatus.OK, r.distribution))
