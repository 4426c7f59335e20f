"""`srbench cache`: add files to the cache, and list its content."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(name="cache", help="Store images and weights by the hash of their content.", no_args_is_help=True)

Json = Annotated[
    str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
]


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders to search.", metavar="PATH")],
    json: Json = None,
) -> None:
    """Add images and weights from disk, so that they need not be downloaded.

    Files are recognized by their hash, images also by their pixels, so other encodings of a test set are accepted.
    Files that no data set, tag or metric needs are skipped.

    Example: `srbench cache add ~/datasets/Set5/HR ~/Downloads/drrnps.pth`
    """
    from srbench.cache import Cache
    from srbench.cli.output import check_json_target, print_table, say, write_json
    from srbench.data.catalogue import add_paths
    from srbench.errors import DataError

    if json is not None:
        check_json_target(json)
    cache = Cache()
    report = add_paths(paths, cache)
    if not report.added:
        tried = "; ".join(f"'{path}' {_short(why, path)}" for path, why in report.skipped[:5])
        more = f"; and {len(report.skipped) - 5} more" if len(report.skipped) > 5 else ""
        raise DataError(f"nothing was added: {tried or 'no files were found'}{more}")
    if json is not None:
        write_json(
            {
                "cache": str(cache.root),
                "added": [{"path": str(path), "what": what} for path, what in report.added],
                "skipped": [{"path": str(path), "why": why} for path, why in report.skipped],
            },
            json,
        )
    if json == "-":
        return
    print_table(
        f"Added to {cache.root}",
        ["what", "file"],
        ([what, str(path)] for path, what in report.added),
        left=2,
    )
    if report.skipped:
        typer.echo(f"left out {len(report.skipped)}:")
        for path, why in report.skipped[:10]:
            say(f"  '{path}' {_short(why, path)}")
        if len(report.skipped) > 10:
            typer.echo(f"  and {len(report.skipped) - 10} more")


def _short(why: str, path: Path) -> str:
    """Return a reason without the path at its beginning."""
    return why.removeprefix(f"'{path}' ")


@app.command("list")
def list_(json: Json = None) -> None:
    """List the cached data sets, weights and generated LR images.

    Example: `srbench cache list --json -`
    """
    from srbench.cache import Cache
    from srbench.cli.output import print_table, write_json
    from srbench.data.catalogue import manifest_datasets
    from srbench.metrics.resources import metric_files
    from srbench.models.weight_sources import all_sources

    cache = Cache()
    datasets = {
        dataset.name: (len(dataset.files) - len(dataset.missing()), len(dataset.files))
        for dataset in manifest_datasets()
    }
    weights = {f"{source.model} ({source.name})": cache.has(source.sha256) for source in all_sources()}
    metrics = {
        f"{name} ({file.name})": cache.has(file.sha256) for name, files in metric_files().items() for file in files
    }
    usage = cache.usage()
    if json is not None:
        write_json(
            {
                "cache": str(cache.root),
                "datasets": {name: {"cached": have, "images": of} for name, (have, of) in datasets.items()},
                "weights": weights,
                "metrics": metrics,
                "usage": {kind: {"files": count, "bytes": size} for kind, (count, size) in usage.items()},
            },
            json,
        )
    if json == "-":
        return
    rows = [["data set", name, f"{have} of {of} images"] for name, (have, of) in datasets.items()]
    rows += [["weights", name, "yes" if there else "no"] for name, there in weights.items()]
    rows += [["metric", name, "yes" if there else "no"] for name, there in metrics.items()]
    rows += [["files", kind, f"{count} files, {size / 1e6:.1f} MB"] for kind, (count, size) in usage.items()]
    print_table(f"Cache {cache.root}", ["kind", "name", "there"], rows, left=2)


@app.command()
def path(json: Json = None) -> None:
    """Print the path of the cache, which SRBENCH_CACHE can change.

    Example: `du -sh "$(srbench cache path)"`
    """
    from srbench.cache import Cache
    from srbench.cli.output import say, write_json

    root = Cache().root
    if json is not None:
        write_json({"cache": str(root)}, json)
    if json != "-":
        say(str(root))
