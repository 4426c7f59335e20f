"""`srbench leaderboard submit`: prepare a run's results for a pull request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.leaderboard.submission import Submission
    from srbench.results.records import Record

__all__ = ["submit"]


def submit(
    run_dir: Annotated[
        Path, typer.Argument(help="A directory that `srbench run` wrote.", metavar="RUN_DIR", show_default=False)
    ],
    board: Annotated[
        str | None, typer.Option(help="Name of the board; the suite's name if not given.", metavar="NAME")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; by default RUN_DIR/submission.", metavar="DIR")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            help="Write to this checkout, a folder with `leaderboards/`; rows are added to an existing board.",
            metavar="CHECKOUT",
        ),
    ] = None,
    models: Annotated[
        str | None, typer.Option(help='Only models that match, e.g. `"edsr*"` (quoted).', metavar="GLOB")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace different results on the board by the new ones.")
    ] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Write a run's results as the files of a new or existing board, for a pull request.

    Failed, damaged and outdated cells are refused. Weights, logs and crops of images that may not be redistributed are
    not copied.

    Example: `srbench leaderboard submit runs/quickstart --into .`
    """
    from srbench.cli.output import check_json_target, write_json
    from srbench.errors import ConfigError, StoreError
    from srbench.leaderboard.submission import BOARDS
    from srbench.leaderboard.submission import submit as submit_run
    from srbench.registry import matching
    from srbench.runs.fingerprint import other_code
    from srbench.runs.installed_figures import installed_published
    from srbench.untrusted import user_path

    if out is not None and into is not None:
        raise ConfigError("--out writes to a separate folder and --into to a checkout; give one of them")
    if models is not None:
        matching((), models)
    run_dir = user_path(run_dir, "run's directory", StoreError)
    if into is not None:
        root = user_path(into, "checkout", StoreError)
        if not (root / BOARDS).is_dir():
            raise StoreError(
                f"'{into}' is not a checkout with boards: it has no folder '{BOARDS}'; give another, or make one"
            )
    else:
        root = run_dir / "submission" if out is None else user_path(out, "folder to write", StoreError)
        if root.is_dir() and any(root.iterdir()) and not (root / BOARDS).is_dir():
            raise StoreError(f"'{root}' holds other files; give an empty folder as --out, or a checkout as --into")
    if json is not None:
        check_json_target(json, run_dir, root / BOARDS)
    done = submit_run(
        run_dir,
        root,
        board=board,
        models=models,
        replace=replace,
        index=into is not None,
        other_code=other_code,
        published=installed_published(),
    )
    if json is not None:
        write_json(_as_json(done), json)
    if json != "-":
        _show(done, root, into)


def _show(done: Submission, root: Path, into: Path | None) -> None:
    from srbench.leaderboard.candidates import label
    from srbench.leaderboard.submission import BOARDS
    from srbench.untrusted import escaped

    lines = [f"added     {label(record)}" for record in done.added]
    lines += [f"replaced  {label(new)}{_change(old, new)}" for old, new in done.replaced]
    lines += [f"left out  {name}" for name in done.left_out]
    counts = f"{len(done.added)} added, {len(done.replaced)} replaced, {len(done.unchanged)} unchanged"
    lines += [f"{done.folder}: {counts}"]
    if done.index is not None:
        lines += [str(done.index)]
    lines += ["", "Next:", f"  srbench leaderboard check {done.folder}"]
    if into is None:
        lines += [f"  copy '{root / BOARDS}' to a checkout of a repository that has no board '{done.board}';"]
        lines += ["  for one that has, use --into CHECKOUT, which adds the rows to it"]
    else:
        lines += [
            f"  git -C {root} switch -c submit-{done.board}",
            f"  git -C {root} add {BOARDS}/{done.board} {BOARDS}/index.html",
            f"  git -C {root} commit -m 'Board {done.board}: {len(done.added) + len(done.replaced)} rows'",
            "  push the branch, and open a pull request",
        ]
    typer.echo("\n".join(escaped(line) for line in lines))


def _change(old: Record, new: Record) -> str:
    changes = [
        f"{name} {old.metrics[name]:.6g} -> {value:.6g}" for name, value in new.metrics.items() if name in old.metrics
    ]
    return f": {', '.join(changes)}" if changes else ""


def _as_json(done: Submission) -> dict[str, Any]:
    from srbench.cli.replay import row_json

    def row(record: Record) -> dict[str, Any]:
        return {**row_json(record), "metrics": record.metrics}

    return {
        "board": done.board,
        "folder": str(done.folder),
        "added": [row(record) for record in done.added],
        "replaced": [{"before": row(old), "after": row(new)} for old, new in done.replaced],
        "unchanged": [row(record) for record in done.unchanged],
        "left_out": done.left_out,
    }
