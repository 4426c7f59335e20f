"""Examine each plugin in a separate process with a time limit, so that one that hangs or crashes affects no others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from srbench.cli.plugin_metadata import metadata_findings
from srbench.cli.plugin_report import Finding, PluginReport, worst
from srbench.registry import entry_points as plugins
from srbench.registry.entry_points import Contribution, PluginStatus
from srbench.registry.plugin_filter import PluginFilter, normalized
from srbench.untrusted import escaped

__all__ = ["SLOW_IMPORT", "TIME_LIMIT", "examine_plugins"]

TIME_LIMIT = 60.0  # seconds for a whole distribution; importing torch for the first time may take twenty
SLOW_IMPORT = 2.0  # seconds, without torch and sr-bench; every user of the plugin waits this long
_SHOWN = 200  # characters of a plugin's output

# The search path is passed through standard input, since it may not come from the environment alone.
_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.stdin.readline())
from srbench.cli.plugin_objects import main
main()
"""


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
    chosen = {name: dist for name, dist in plugins.distributions().items() if not only or normalized(name) in only}

    def report(dist: metadata.Distribution) -> PluginReport:
        return _report(dist, reserved or {}, time_limit)

    with ThreadPoolExecutor(max_workers=max(1, min(4, os.cpu_count() or 1))) as pool:
        reports = list(pool.map(report, chosen.values()))
    order = list(PluginStatus)
    return sorted(reports, key=lambda r: (-order.index(r.status), r.distribution))


def _report(dist: metadata.Distribution, reserved: Mapping[str, Collection[str]], time_limit: float) -> PluginReport:
    owner = normalized(dist.name)
    kinds = plugins.contributions().values()
    contributed = [i for names in kinds for items in names.values() for i in items if i.owner == owner]
    if not PluginFilter.from_environment().allows(owner):
        left_out = Finding(PluginStatus.LEFT_OUT, "", "SRBENCH_PLUGINS leaves it out", "change or unset that variable")
        return PluginReport(dist.name, dist.version, (), (left_out,))
    names = tuple(sorted(f"{item.kind}/{item.name}" for item in contributed))
    # The reserved names are those of sr-bench's own commands and figures.
    found = list(metadata_findings(dist, contributed, {} if owner == plugins.CORE else reserved))
    seconds = None
    if contributed and not plugins.incompatibility(dist):
        more, seconds = _examined(owner, contributed, time_limit)
        found += more
    return PluginReport(dist.name, dist.version, names, worst(found), seconds)


def _examined(owner: str, contributed: list[Contribution], time_limit: float) -> tuple[list[Finding], float]:
    """Run the examination in a process; return the findings and the import time in seconds."""
    with tempfile.TemporaryDirectory(prefix="srbench-doctor-") as folder:
        result, printed = Path(folder, "result"), Path(folder, "printed")
        result.touch()
        with printed.open("wb") as stdout, Path(folder, "errors").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", _CHILD],
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )
            request = {"distribution": owner, "result": str(result)}
            timed_out = False
            try:
                process.communicate(f"{json.dumps(sys.path)}\n{json.dumps(request)}\n", timeout=time_limit)
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                _end(process)
        lines = list(_lines(result))
        findings = [_finding(line) for line in lines if line["event"] == "finding"]
        seconds = sum(line["seconds"] for line in lines if line["event"] == "imported")
        ended = bool(lines) and lines[-1]["event"] == "end"
        if timed_out or not ended:
            findings.append(_lost(lines, contributed, time_limit if timed_out else None, process.returncode, folder))
        if seconds > SLOW_IMPORT:
            findings.append(_slow(lines, seconds))
        if said := _beginning(printed):
            findings.append(
                Finding(
                    PluginStatus.WARNING,
                    "",
                    f"it prints when it is imported: '{said}'",
                    "use `logging` or `warnings`, or print when a command is called",
                )
            )
        return findings, seconds


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a process and its children."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):  # cut off when the process was killed
            yield json.loads(line)


def _finding(line: Mapping[str, str]) -> Finding:
    return Finding(PluginStatus(line["status"]), line["about"], line["cause"], line["remedy"], line["traceback"])


def _lost(
    lines: list[dict[str, Any]], contributed: list[Contribution], limit: float | None, status: int, folder: str
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
    errors = Path(folder, "errors").read_bytes()[-4000:].decode(errors="replace").strip()
    return Finding(PluginStatus.BROKEN, about, cause, "report it to the plugin's authors", errors)


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
