"""Write tables and pages, or check that existing ones are up to date."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from srbench.errors import SRBenchError, StoreError
from srbench.leaderboard.boards import Results, read_results
from srbench.leaderboard.page import html_text, index_text
from srbench.leaderboard.tables import csv_text, markdown_text
from srbench.results.published_figures import Published
from srbench.storage import disk_errors, fsync_directory, remove_leftovers, write_synced
from srbench.untrusted import IMAGE_LIMIT, read_bytes

__all__ = ["RESULTS", "Build", "build", "build_index", "outdated"]

RESULTS = "results"


@dataclass(frozen=True)
class Build:
    """The results, and the files made from them with their content."""

    results: Results
    out_dir: Path
    files: Mapping[str, bytes]

    @property
    def paths(self) -> list[Path]:
        """Return where the files are."""
        return [self.out_dir / name for name in self.files]


def build(
    run_dir: str | Path,
    out_dir: str | Path | None = None,
    *,
    write: bool = True,
    other_code: Collection[str] = frozenset(),
    published: Published | None = None,
) -> Build:
    """Make leaderboard.csv, leaderboard.md and index.html from a run directory.

    The same results, with the same published figures, give the same bytes. All files are complete before the first is
    moved into place.

    Args:
        run_dir: A directory that `srbench run` wrote.
        out_dir: Where to write; `RUN_DIR/leaderboard` by default.
        write: False to make only the content, for `outdated`.
        other_code: Keys of cells whose code has changed since they were measured; the page marks them.
        published: What is published of the weights that were measured.

    Raises:
        StoreError: There are no results in `run_dir`, or `out_dir` cannot be written to.
    """
    results = read_results(run_dir, published)
    out = Path(run_dir) / "leaderboard" if out_dir is None else Path(out_dir)
    files = {
        "leaderboard.csv": csv_text(results).encode(),
        "leaderboard.md": markdown_text(results).encode(),
        "index.html": html_text(results, other_code).encode(),
    }
    made = Build(results, out, files)
    if write:
        _write_together(out, files)
    return made


def build_index(root: str | Path, *, write: bool = True) -> Build:
    """Make the page that links the pages of all suites in a directory; a suite is a folder that contains `results`.

    Raises:
        StoreError: The folder does not exist, or the page cannot be written.
    """
    root = Path(root)
    if not root.is_dir():
        raise StoreError(f"there is no directory '{root}'; give the one that holds a folder per suite.")
    suites: list[dict[str, object]] = []
    boards: list[Results] = []
    # Hidden folders are leftovers of a killed `submit`.
    for folder in sorted(path for path in root.iterdir() if path.name[0] != "." and (path / RESULTS).is_dir()):
        try:
            results = read_results(folder / RESULTS)
        except SRBenchError as error:
            # The page must not depend on the path of the checkout.
            problem = str(error).replace(str(folder), folder.name)
            suites.append({"folder": folder.name, "title": folder.name, "problem": problem, "results": None})
            continue
        boards.append(results)
        suites.append({"folder": folder.name, "title": results.title, "problem": "", "results": results})
    if not suites:
        raise StoreError(
            f"no folder in '{root}' holds a '{RESULTS}' directory; copy a run's directory there, one per suite."
        )
    merged = Results(None, [board for results in boards for board in results.boards], [])
    files = {"index.html": index_text(suites).encode()}
    if write:
        _write_together(root, files)
    return Build(merged, root, files)


def outdated(made: Build) -> list[str]:
    """Return the names of the files that are missing or out of date."""
    stale = []
    for name, data in made.files.items():
        try:
            same = read_bytes(made.out_dir / name, limit=IMAGE_LIMIT, error=StoreError) == data
        except StoreError:
            same = False
        if not same:
            stale.append(name)
    return stale


def _write_together(out: Path, files: Mapping[str, bytes]) -> None:
    """Write all files under temporary names first, so that a full disk leaves the old ones unchanged."""
    temporary = {name: out / f".tmp-{name}-{os.getpid()}" for name in files}
    with disk_errors(out):
        try:
            out.mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                write_synced(temporary[name], data)
            for name in files:
                os.replace(temporary[name], out / name)
                remove_leftovers(out, f".tmp-{name}-")
            fsync_directory(out)
        finally:
            for path in temporary.values():
                path.unlink(missing_ok=True)
