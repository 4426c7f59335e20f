"""Create projects of plugins from a template with Copier, and update them.

Copier merges a newer template into a project by comparing it with the version that the project was created from, which
it reads from a git repository with a tag per version. Since an installed package is not a repository, a reproducible
one is created in the cache from the versions in `templates/`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from srbench.cache import Cache
from srbench.errors import ConfigError, StoreError

__all__ = ["ANSWERS", "KINDS", "check_name", "create", "template_repository", "update"]

KINDS = ("method", "backbone", "metric", "dataset", "suite")
ANSWERS = ".copier-answers.yml"
TEMPLATES = Path(__file__).with_name("templates")

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 40
# Files with these names cannot be created on Windows.
_DEVICES = frozenset({"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
# The repository's commits are equal on every machine.
_IDENTITY = {
    "GIT_AUTHOR_NAME": "sr-bench",
    "GIT_AUTHOR_EMAIL": "sr-bench@localhost",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00+0000",
    "GIT_COMMITTER_NAME": "sr-bench",
    "GIT_COMMITTER_EMAIL": "sr-bench@localhost",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00+0000",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def check_name(kind: str, name: str) -> None:
    """Refuse an invalid name, or one that is taken.

    Raises:
        ConfigError: The name is invalid, or is used by an installed plugin or one of sr-bench's extras.
    """
    from srbench.registry import entry_points, list_suites
    from srbench.registry.extras import extra_for

    if not _NAME.fullmatch(name) or len(name) > _LONGEST or name in _DEVICES:
        raise ConfigError(
            f"'{name}' cannot name a plugin: give at most {_LONGEST} lower-case letters, digits and underscores, a "
            "letter first, such as low_rank"
        )
    kinds = ("backbones", "baselines") if kind == "backbone" else (f"{kind}s",)
    for group in kinds:
        if items := entry_points.claims(group, name):
            raise ConfigError(f"{kind} '{name}' already exists, in {items[0].distribution}; give another name")
        if extra := extra_for(group, name):
            raise ConfigError(f"{kind} '{name}' belongs to the extra '{extra}' of sr-bench; give another name")
    if kind == "suite" and name in list_suites():
        raise ConfigError(f"suite '{name}' already exists; give another name")


def create(kind: str, name: str, parent: Path) -> Path:
    """Create the project of a plugin atomically, and return its folder.

    Args:
        kind: One of `KINDS`.
        name: Name of the plugin in sr-bench, and of the folder.
        parent: The parent folder, created if needed.

    Raises:
        ConfigError: The name is invalid, the folder exists, or Copier or git is missing.
        StoreError: The folder cannot be written to.
    """
    check_name(kind, name)
    copier = _copier()
    target = parent / name
    if target.exists() or target.is_symlink():
        raise ConfigError(f"'{target}' exists; give another name, or --out with another folder")
    source = template_repository()
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    with _as_store_error(target):
        parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    try:
        with _as_store_error(target):
            project = hidden / name
            copier.run_copy(
                _portable(source), project, {"kind": kind, "name": name}, defaults=True, quiet=True, vcs_ref="HEAD"
            )
            project.rename(target)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    hidden.rmdir()
    return target


def update(project: Path) -> tuple[str, str]:
    """Merge changes of the template into a project, and return the template's versions before and after.

    Raises:
        ConfigError: The folder is not a project of `srbench new`, is not under git or has uncommitted changes.
    """
    copier = _copier()
    source = _portable(template_repository())
    before = _answers(project)
    if before["_src_path"] != source:
        raise ConfigError(
            f"'{project / ANSWERS}' names the template '{before['_src_path']}', and here it is '{source}'; write that "
            "after '_src_path:', commit, and try again"
        )
    if not _is_under_git(project):
        raise ConfigError(
            f"'{project}' is not under git, which merges the update with your changes; run `git init` in it, commit "
            "everything, and try again"
        )
    try:
        copier.run_update(project, defaults=True, overwrite=True, quiet=True, conflict="inline")
    except Exception as error:  # Copier has many error classes, and passes git's errors through
        said = " ".join(str(error).split())
        raise ConfigError(f"'{project}' cannot be updated: {said[:300]}") from error
    return str(before["_commit"]), str(_answers(project)["_commit"])


def _answers(project: Path) -> dict[str, Any]:
    from srbench.untrusted import parse_yaml, read_text

    file = project / ANSWERS
    if not file.is_file():
        raise ConfigError(f"'{project}' is not a project of `srbench new`: there is no '{ANSWERS}' in it")
    try:
        found = parse_yaml(read_text(file, error=ConfigError), f"'{file}'")
    except ConfigError as error:
        raise ConfigError(f"{str(error).rstrip('.')}; restore it from git") from error
    if not isinstance(found, dict) or not {"_src_path", "_commit"} <= set(found):
        raise ConfigError(f"'{file}' does not say which template the project was made from; restore it from git")
    return found


def template_repository() -> Path:
    """Return the git repository of the template in the cache, with a commit and a tag per version.

    Raises:
        ConfigError: git is missing.
        StoreError: The cache cannot be written.
    """
    if shutil.which("git") is None:
        raise ConfigError("`srbench new` needs git, which is not installed; install it from https://git-scm.com")
    folder = Cache().root / "templates" / "plugin"
    versions = sorted(TEMPLATES.glob("v*"), key=lambda path: int(path.name[1:]))
    if _is_current(folder, versions):
        return folder
    with _as_store_error(folder, "set SRBENCH_CACHE to another folder"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".plugin-", dir=folder.parent))
        try:
            _git(made, "init", "--quiet", "--initial-branch=main")
            for version in versions:
                _replace_content(made, version)
                _git(made, "add", "--all", "--force")
                _git(made, "commit", "--quiet", "--allow-empty", "--message", f"Template {version.name}")
                _git(made, "tag", version.name)
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return folder


def _is_current(folder: Path, versions: list[Path]) -> bool:
    """Return whether the repository has the current versions; the newest is compared file by file."""
    if not (folder / ".git").is_dir():
        return False
    newest = versions[-1]
    wanted = {path.relative_to(newest): path.read_bytes() for path in newest.rglob("*") if path.is_file()}
    there = {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }
    tags = {path.name for path in (folder / ".git" / "refs" / "tags").glob("v*")}
    return wanted == there and tags == {version.name for version in versions}


def _replace_content(folder: Path, version: Path) -> None:
    for path in folder.iterdir():
        if path.name == ".git":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.copytree(version, folder, dirs_exist_ok=True)


def _git(folder: Path, *words: str) -> None:
    ended = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False, env={**os.environ, **_IDENTITY}
    )
    if ended.returncode:
        raise StoreError(f"git cannot make the template's repository in '{folder}': {ended.stderr.strip()}")


def _is_under_git(folder: Path) -> bool:
    words = ["git", "-C", str(folder), "rev-parse", "--is-inside-work-tree"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _portable(path: Path) -> str:
    """Return a path that is equal for all users with the default cache, with `~` for the home folder."""
    with contextlib.suppress(ValueError):
        return f"~/{path.resolve().relative_to(Path.home().resolve()).as_posix()}"
    return str(path.resolve())


def _copier() -> Any:
    if find_spec("copier") is None:
        raise ConfigError('`srbench new` needs Copier, which comes with an extra: pip install "sr-bench[new]"')
    import copier

    return copier


@contextlib.contextmanager
def _as_store_error(path: Path, remedy: str = "give another folder") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"'{path}' cannot be written: {error.strerror or error}; {remedy}") from error
