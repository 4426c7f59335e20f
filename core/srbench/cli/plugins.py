"""`srbench plugins`: the installed plugins and what is wrong with them."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Show the installed plugins and what is wrong with them.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Show the installed plugins and what is wrong with them.

    Example: `srbench plugins doctor`
    """


@app.command()
def doctor(
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Load everything that every plugin contributes; say what fails, and how to mend it.

    Exits with status 1 if a plugin is not OK.

    Example: `srbench plugins doctor`
    """
    from srbench.registry.entry_points import PluginStatus, doctor

    reports = doctor()
    if json is not None:
        from srbench.cli.output import write_json

        write_json(
            {
                "plugins": [
                    {
                        "distribution": report.distribution,
                        "version": report.version,
                        "status": report.status.value,
                        "detail": report.detail,
                        "names": list(report.names),
                        "traceback": report.traceback,
                    }
                    for report in reports
                ]
            },
            json,
        )
    else:
        for report in reports:
            typer.echo(f"{report.distribution} {report.version}: {report.status.value}")
            typer.echo(f"    {', '.join(report.names)}")
            if report.detail:
                typer.echo(f"    {report.detail}")
            if report.traceback:
                typer.echo("".join(f"    | {line}\n" for line in report.traceback.splitlines()), nl=False)
    if any(report.status is not PluginStatus.OK for report in reports):
        raise typer.Exit(1)
