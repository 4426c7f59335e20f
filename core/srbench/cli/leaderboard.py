"""`srbench leaderboard`: rank the results of a run and publish them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srbench.cli import leaderboard_store
from srbench.cli.protocol_matrix import protocols

if TYPE_CHECKING:
    from srbench.leaderboard.boards import Results
    from srbench.leaderboard.publish import Build

app = typer.Typer(name="leaderboard", help="Rank the results of a run and publish them.", no_args_is_help=True)
leaderboard_store.add_to(app)

app.command("protocols")(protocols)

JSON_HELP = "Also write the ranking as JSON to this file, or to standard output ('-'); see docs/leaderboards.md."
CHECK_HELP = "Write nothing; exit with status 1 if the files in --out are not up to date."


@app.command(epilog="Example: srbench leaderboard build runs/quickstart --out site")
def build(
    run_dir: Annotated[
        Path, typer.Argument(help="A directory that `srbench run` wrote.", metavar="RUN_DIR", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where to write; by default RUN_DIR/leaderboard.", metavar="DIR")
    ] = None,
    json_file: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
    check: Annotated[bool, typer.Option("--check", help=CHECK_HELP)] = False,
) -> None:
    """Write leaderboard.csv, leaderboard.md and index.html, a page that needs no network access."""
    from srbench.cli.output import check_json_target, output_folder
    from srbench.runs.pages import build_pages

    out = output_folder(out)
    if json_file is not None:
        pages = out if out is not None else run_dir / "leaderboard"
        written = [pages / name for name in ("leaderboard.csv", "leaderboard.md", "index.html")]
        check_json_target(json_file, run_dir, pages, *written)
    made = build_pages(run_dir, out, write=not check)
    _write_json(run_dir, json_file)
    again = f"srbench leaderboard build {run_dir}" + (f" --out {out}" if out else "")
    _name_damaged(made.results)
    _report(made, check=check, again=again, quiet=json_file == "-")


@app.command(epilog="Example: srbench leaderboard show runs/quickstart")
def show(
    run_dir: Annotated[
        Path,
        typer.Argument(
            help="A directory that `srbench run` wrote, or a board's folder.", metavar="RUN_DIR", show_default=False
        ),
    ],
    json_file: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Print the ranking in the terminal."""
    from srbench.cli.output import check_json_target
    from srbench.leaderboard.boards import read_results
    from srbench.leaderboard.terminal import print_results
    from srbench.results.rows import of_board

    run_dir = of_board(run_dir)
    if json_file is not None:
        check_json_target(json_file, run_dir)
    _write_json(run_dir, json_file)
    results = read_results(run_dir)
    if json_file != "-":
        print_results(results)
    _name_damaged(results)


@app.command(epilog="Example: srbench leaderboard index leaderboards")
def index(
    root: Annotated[
        Path, typer.Argument(help="A directory with one folder per suite.", metavar="ROOT", show_default=False)
    ],
    check: Annotated[bool, typer.Option("--check", help=CHECK_HELP)] = False,
) -> None:
    """Write ROOT/index.html, which links the pages of all suites."""
    from srbench.leaderboard import publish

    made = publish.build_index(root, write=not check)
    _report(made, check=check, again=f"srbench leaderboard index {root}", quiet=False)


@app.command(epilog="Example: srbench leaderboard site leaderboards --out site")
def site(
    out: Annotated[
        Path,
        typer.Option(help="The site's folder: new, empty, or an earlier site.", metavar="DIR", show_default=False),
    ],
    root: Annotated[
        Path, typer.Argument(help="A directory with one folder per suite.", metavar="LEADERBOARDS_DIR")
    ] = Path("leaderboards"),
) -> None:
    """Write a static site: an index with search, and a page per board, model and protocol."""
    from srbench.cli.output import output_folder, say
    from srbench.leaderboard.site import build_site
    from srbench.runs.fingerprint import other_code
    from srbench.runs.installed_figures import installed_published
    from srbench.untrusted import escaped

    target = output_folder(out)
    assert target is not None
    made = build_site(
        root,
        target,
        other_code=other_code,
        published=installed_published(),
        progress=lambda text: typer.echo(f"srbench: {escaped(text)}", err=True),
    )
    for suite in made.suites:
        if suite.problem:
            typer.echo(f"srbench: {escaped(f'left out: {suite.folder}: {suite.problem}')}", err=True)
    say(f"{target / 'index.html'}: {made.boards} boards, {len(made.models)} models, {len(made.protocols)} protocols")


def _name_damaged(results: Results) -> None:
    """List on standard error the cells that could not be read and are left out of the ranking."""
    from srbench.untrusted import escaped

    for failure in results.failures:
        if failure.damaged:
            where = f" on {failure.dataset}" if failure.dataset else ""
            typer.echo(f"srbench: {escaped(f'left out: {failure.cell}{where}: {failure.reason}')}", err=True)


def _report(made: Build, *, check: bool, again: str, quiet: bool) -> None:
    from srbench.cli.output import say
    from srbench.leaderboard.publish import outdated

    if not check:
        if not quiet:
            say("\n".join(str(path) for path in made.paths))
        return
    stale = outdated(made)
    if stale:
        names = ", ".join(str(made.out_dir / name) for name in stale)
        say(f"srbench: not up to date: {names}; run `{again}` and commit what it writes.", err=True)
        raise typer.Exit(1)
    if not quiet:
        say(f"{made.out_dir} is up to date.")


def _write_json(run_dir: Path, target: str | None) -> None:
    """Write the ranking: an object whose `rows` have the keys described in `docs/leaderboards.md`."""
    if target is None:
        return
    from srbench import leaderboard
    from srbench.cli.output import write_json

    table = leaderboard.ranking(run_dir)
    # Missing values become null; astype(object) preserves integers.
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    write_json({"rows": rows}, target)
