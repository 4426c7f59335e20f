"""`srbench plugins`: list installed plugins and their contributions, and diagnose problems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.cli.plugin_report import PluginReport

__all__ = ["app"]

Json = Annotated[
    str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
]

app = typer.Typer(invoke_without_command=True)


@app.callback()
def plugins(context: typer.Context, json: Json = None) -> None:
    """List installed plugins, and diagnose problems.

    Without a subcommand, it shows what each plugin contributes, from metadata: nothing is imported. The environment
    variable SRBENCH_PLUGINS selects plugins: `SRBENCH_PLUGINS=ps,zoo` uses only these, `SRBENCH_PLUGINS=-my-plugin` all
    but this one.

    Example: `srbench plugins`

    Example: `srbench plugins doctor`
    """
    if context.invoked_subcommand is not None:
        return
    from srbench.cli.output import print_table, say, write_json
    from srbench.registry.plugin_filter import PluginFilter

    rows = _rows()
    unknown = PluginFilter.from_environment().unknown({row["distribution"] for row in rows})
    if json is not None:
        write_json({"plugins": rows, "unknown_in_srbench_plugins": unknown}, json)
        if json == "-":
            return
    else:
        cells = [
            [row["distribution"], row["version"], row["requires"] or "", row["status"], _contributes(row["names"])]
            for row in rows
        ]
        print_table("Plugins", ["distribution", "version", "sr-bench", "status", "contributes"], cells, left=5)
    for name in unknown:
        say(f"SRBENCH_PLUGINS names '{name}', but no such plugin is installed", err=True)


def _rows() -> list[dict[str, Any]]:
    """Return a row of metadata for each distribution."""
    from srbench.registry import entry_points
    from srbench.registry.entry_points import PluginStatus
    from srbench.registry.plugin_filter import PluginFilter

    allows = PluginFilter.from_environment().allows
    rows = []
    for name, dist in entry_points.distributions().items():
        groups = ((entry.group.removeprefix("srbench."), entry.name) for entry in dist.entry_points)
        names = sorted(f"{kind}/{entry}" for kind, entry in groups if kind in entry_points.GROUPS)
        status = PluginStatus.OK if allows(name) else PluginStatus.LEFT_OUT
        detail = ""
        if status is PluginStatus.OK and (detail := entry_points.incompatibility(dist)):
            status = PluginStatus.INCOMPATIBLE
        rows.append(
            {
                "distribution": name,
                "version": dist.version,
                "requires": entry_points.requirement(dist),
                "status": status.value,
                "detail": detail,
                "names": names,
            }
        )
    return rows


def _contributes(names: list[str]) -> str:
    """Return names grouped by kind, one line each: `methods: basis, ps`."""
    return "\n".join(f"{kind}: {', '.join(found[:6])}{_more(found[6:])}" for kind, found in _by_kind(names).items())


def _by_kind(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of each kind, of names `kind/name`."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, bare = name.partition("/")
        kinds.setdefault(kind, []).append(bare)
    return kinds


def _more(names: list[str]) -> str:
    return f" and {len(names)} more" if names else ""


@app.command()
def doctor(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="DISTRIBUTION", help="Only these plugins; all if none are given.")
    ] = None,
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, max=3600, help="Time limit for one distribution.")
    ] = 60.0,
    json: Json = None,
) -> None:
    """Load all contributions of each plugin in a separate process, and report problems with their remedies.

    Exits with status 1 if a plugin, or a part of it, cannot be used; with status 0 if there are only warnings.

    Example: `srbench plugins doctor`

    Example: `srbench plugins doctor my-plugin --time-limit 10`
    """
    from srbench.cli.plugin_doctor import examine_plugins
    from srbench.errors import UnknownNameError, suggest
    from srbench.registry.entry_points import PluginStatus, distributions
    from srbench.registry.plugin_filter import named

    if json is not None:
        from srbench.cli.output import check_json_target

        check_json_target(json)
    installed, only = distributions(), set()
    for name in names or ():
        if (found := named(name, installed)) is None:
            raise UnknownNameError(f"no plugin '{name}' is installed" + suggest(name, installed, noun="plugins"))
        only.add(found)
    reports = examine_plugins(reserved=_reserved(), time_limit=time_limit, only=only)
    if json is not None:
        from srbench.cli.output import write_json

        write_json({"plugins": [_plain(report) for report in reports]}, json)
    else:
        for report in reports:
            _show(report)
    fine = (PluginStatus.OK, PluginStatus.WARNING, PluginStatus.LEFT_OUT)
    if any(report.status not in fine for report in reports):
        raise typer.Exit(1)


def _reserved() -> dict[str, frozenset[str]]:
    """Return the names of sr-bench's own commands and figures."""
    from srbench.cli.app import app as srbench

    root: Any = typer.main.get_command(srbench)
    return {"commands": root.own}


def _plain(report: PluginReport) -> dict[str, Any]:
    import dataclasses

    return {
        "distribution": report.distribution,
        "version": report.version,
        "status": report.status.value,
        "detail": str(report.findings[0]) if report.findings else "",
        "names": list(report.names),
        "traceback": next((f.traceback for f in report.findings if f.traceback), ""),
        "import_seconds": report.import_seconds,
        "findings": [{**dataclasses.asdict(f), "status": f.status.value} for f in report.findings],
    }


def _show(report: PluginReport) -> None:
    from srbench.untrusted import escaped

    took = f", imported in {report.import_seconds:.1f} s" if report.import_seconds is not None else ""
    typer.echo(f"{report.distribution} {report.version}: {report.status.value}{took}")
    for kind, names in _by_kind(report.names).items():
        typer.echo(f"    {escaped(kind)}: {escaped(', '.join(names), limit=2000)}")
    for finding in report.findings:
        typer.echo(f"    {finding.status.value}: {escaped(str(finding))}")
        typer.echo(
            "".join(f"    | {escaped(line)}\n" for line in finding.traceback.splitlines()),
            nl=False,
        )
