"""`srbench leaderboard check`: verify a board."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from srbench.verification import BoardReport, CheckResult

__all__ = ["check_board_command"]

MOST_FINDINGS = 10  # most lines per check


def check_board_command(
    board: Annotated[
        Path,
        typer.Argument(help="The folder of a committed board, or a run directory.", metavar="DIR", show_default=False),
    ],
    replay: Annotated[
        int, typer.Option(help="Number of rows to measure again, drawn at random.", min=0, max=10**6, metavar="K")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the draw; random and printed if not given.", min=0, max=2**31)
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="With --replay: retrain rows, and compare their weights as well.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1.")] = "cpu",
    record: Annotated[
        bool, typer.Option("--record", help="With --replay: store the outcomes in `replays.json`.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="With --record: who replays the rows.", metavar="WHO")] = None,
    load: Annotated[bool, typer.Option("--load", help="Load the published weights of the rows.")] = False,
    networks: Annotated[
        bool, typer.Option("--networks/--no-networks", help="Build the networks to count parameters and work.")
    ] = True,
    suite: Annotated[
        str | None,
        typer.Option(
            help="The suite that the board should be of; the installed one of its name if not given.",
            metavar="NAME|FILE",
        ),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Verify a board, with a line for each check and a sentence for each problem.

    The exit status is 0 if every check passed, else 1.

    Example: `srbench leaderboard check leaderboards/efficient-x3 --replay 3`
    """
    from srbench.cli.output import check_json_target, say
    from srbench.errors import ConfigError
    from srbench.untrusted import user_path
    from srbench.verification import check_board

    path = user_path(board)
    if json is not None:
        check_json_target(json, path)
    if not replay and (record or train or seed is not None):
        raise ConfigError("--record, --train and --seed are for rows that are measured again; give --replay K too")
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    report = check_board(
        path,
        suite=suite,
        networks=networks,
        load=load,
        replays=replay,
        seed=seed,
        train=train,
        device=device,
        record=record,
        by=by,
        note=lambda text: say(text, err=True),
        report=(lambda check: None) if json == "-" else _show,
    )
    if record and report.replayed:
        typer.echo(_outdated(report), err=True)
    if json is not None:
        _write(report, seed if replay else None, json)
    if json != "-":
        failed = report.failed
        typer.echo(f"failed: {', '.join(failed)}" if failed else f"all {len(report.checks)} checks passed")
    if not report.passed:
        raise typer.Exit(1)


def _outdated(report: BoardReport) -> str:
    """Return the sentence that says how tables and pages get the states that were recorded."""
    from srbench.untrusted import escaped

    results = report.run_dir
    out = f" --out {results.parent}" if results.name == "results" else ""
    return escaped(f"srbench: recorded; tables and pages show it after `srbench leaderboard build {results}{out}`")


def _show(check: CheckResult) -> None:
    from srbench.untrusted import escaped

    lines = [f"{'ok  ' if check.passed else 'FAIL'}  {check.name:<10}  {check.checked} {check.noun}"]
    if check.findings:
        lines[0] += f", {len(check.findings)} wrong"
    lines += [
        f"        {one.cell}: {one.sentence}" if one.cell else f"        {one.sentence}"
        for one in check.findings[:MOST_FINDINGS]
    ]
    if len(check.findings) > MOST_FINDINGS:
        lines.append(f"        and {len(check.findings) - MOST_FINDINGS} more; --json lists them")
    lines += [f"        ({note})" for note in check.notes]
    typer.echo("\n".join(escaped(line) for line in lines))


def _write(report: BoardReport, seed: int | None, target: str) -> None:
    """Write the outcome as JSON (docs/json.md)."""
    from srbench.cli.output import write_json
    from srbench.cli.replay import replayed_json

    value = {
        "run_dir": str(report.run_dir),
        "passed": report.passed,
        "seed": seed,
        "checks": [
            {
                "name": check.name,
                "passed": check.passed,
                "checked": check.checked,
                "of": check.noun,
                "findings": [{"cell": finding.cell, "sentence": finding.sentence} for finding in check.findings],
                "notes": check.notes,
            }
            for check in report.checks
        ],
        "replayed": [replayed_json(one) for one in report.replayed],
    }
    write_json(value, target)
