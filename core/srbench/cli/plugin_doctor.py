"""Examine each plugin in a separate process with a time limit, so that one that hangs or crashes affects no others."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from srbench.cli.plugin_metadata import metadata_findings
from srbench.cli.plugin_processes import Ended, Request, run_each
from srbench.cli.plugin_report import Finding, PluginReport, worst
from srbench.registry import entry_points as plugins
from srbench.registry.entry_points import Contribution, PluginStatus
from srbench.registry.plugin_filter import PluginFilter, normalized
from srbench.untrusted import escaped

__all__ = ["SLOW_IMPORT", "TIME_LIMIT", "examine_plugins"]

TIME_LIMIT = 60.0  # seconds for a whole distribution; importing torch for the first time may take twenty
SLOW_IMPORT = 2.0  # seconds, without torch and sr-bench; every user of the plugin waits this long
_SHOWN = 200  # characters of a plugin's output


def examine_plugins(
    *,
    reserved: Mapping[str, Collection[str]] | None = None,
    time_limit: float = TIME_LIMIT,
    only: Collection[str] = (),
) -> list[PluginReport]:
    """Load all contributions of all plugins and return a report per distribution, worst first.

    Args:
        reserved: Kind -> names of built-in commands and figures, which plugins cannot take.
        time_limit: Time limit for one distribution in seconds.
        only: Normalized names of distributions; all if empty.
    """
    chosen = [dist for name, dist in plugins.distributions().items() if not only or normalized(name) in only]
    allows = PluginFilter.from_environment().allows
    contributed = {normalized(dist.name): _contributed(dist) for dist in chosen}
    examined = [
        normalized(dist.name)
        for dist in chosen
        if allows(normalized(dist.name)) and contributed[normalized(dist.name)] and not plugins.incompatibility(dist)
    ]
    reports = []
    with tempfile.TemporaryDirectory(prefix="srbench-doctor-") as folder:
        requests = {name: Request.within(Path(folder, str(index)), name) for index, name in enumerate(examined)}
        ended = run_each(list(requests.values()), time_limit)
        for dist in chosen:
            owner = normalized(dist.name)
            if not allows(owner):
                left_out = Finding(
                    PluginStatus.LEFT_OUT, "", "SRBENCH_PLUGINS leaves it out", "change or unset that variable"
                )
                reports.append(PluginReport(dist.name, dist.version, (), (left_out,)))
                continue
            items = contributed[owner]
            # sr-bench's own commands and figures are what the reserved names are of.
            found = list(metadata_findings(dist, items, {} if owner == plugins.CORE else reserved or {}))
            seconds = None
            if owner in requests:
                more, seconds = _findings(requests[owner], ended[owner], items, time_limit)
                found += more
            names = tuple(sorted(f"{item.kind}/{item.name}" for item in items))
            reports.append(PluginReport(dist.name, dist.version, names, worst(found), seconds))
    order = list(PluginStatus)
    return sorted(reports, key=lambda r: (-order.index(r.status), r.distribution))


def _contributed(dist: metadata.Distribution) -> list[Contribution]:
    kinds, owner = plugins.contributions().values(), normalized(dist.name)
    return [item for names in kinds for items in names.values() for item in items if item.owner == owner]


def _findings(
    request: Request, ended: Ended, contributed: list[Contribution], time_limit: float
) -> tuple[list[Finding], float]:
    """Return what was found in the process of a distribution, and the seconds that imports took."""
    lines = list(_lines(Path(request.result)))
    findings = [_finding(line) for line in lines if line["event"] == "finding"]
    seconds = sum(line["seconds"] for line in lines if line["event"] == "imported")
    finished = bool(lines) and lines[-1]["event"] == "end"
    if ended.timed_out or not finished:
        limit = time_limit if ended.timed_out else None
        findings.append(_lost(lines, contributed, limit, ended.status, Path(request.errors)))
    if seconds > SLOW_IMPORT:
        findings.append(_slow(lines, seconds))
    if said := _beginning(Path(request.printed)):
        findings.append(
            Finding(
                PluginStatus.WARNING,
                "",
                f"it prints when it is imported: '{said}'",
                "use `logging` or `warnings`, or print when a command is called",
            )
        )
    return findings, seconds


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):  # cut off when the process was killed
            yield json.loads(line)


def _finding(line: Mapping[str, str]) -> Finding:
    return Finding(PluginStatus(line["status"]), line["about"], line["cause"], line["remedy"], line["traceback"])


def _lost(
    lines: list[dict[str, Any]], contributed: list[Contribution], limit: float | None, status: int, errors: Path
) -> Finding:
    """Return a finding on a process that did not finish: what it was doing, and how it ended."""
    begun = [line for line in lines if line["event"] == "begin"]
    about = begun[-1]["about"] if begun else f"{contributed[0].kind}/{contributed[0].name}"
    doing = "is examined" if lines and lines[-1]["event"] != "begin" else "is imported"
    if limit is not None:
        cause = f"it does not finish within {limit:g} s when it {doing}"
    elif status < 0:
        cause = f"it ends the process with signal {-status} when it {doing}"
    else:
        cause = f"it ends the process with status {status} when it {doing}"
    last = errors.read_bytes()[-4000:].decode(errors="replace").strip()
    return Finding(PluginStatus.BROKEN, about, cause, "report it to the plugin's authors", last)


def _slow(lines: list[dict[str, Any]], total: float) -> Finding:
    """Return a finding on slow imports, with the slowest one."""
    about, longest, current = "", 0.0, ""
    for line in lines:
        if line["event"] == "begin":
            current = line["about"]
        elif line["event"] == "imported" and line["seconds"] > longest:
            about, longest = current, line["seconds"]
    return Finding(
        PluginStatus.WARNING,
        about,
        f"it takes {longest:.1f} s to import (all of the plugin {total:.1f} s, without torch and sr-bench)",
        "do slow work, and import large packages, inside the functions that need them",
    )


def _beginning(file: Path) -> str:
    with file.open("rb") as stream:
        text = stream.read(4 * _SHOWN).decode(errors="replace").strip()
    return escaped(text, limit=_SHOWN)
