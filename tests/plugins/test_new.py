"""`srbench new`: projects that install and pass their tests untouched, whole or not at all, and that can be updated."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fresh_environment import Environment

from srbench.cli import scaffold
from srbench.errors import ConfigError, SRBenchError

pytest.importorskip("copier", reason="the extra `new` is absent")


def install(project: Path, site: Path) -> dict[str, str]:
    """Install a project into a folder, and return an environment with the folder on its path."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    # tox names constraints for build environments, and pip refuses them where it makes none.
    env = {name: value for name, value in os.environ.items() if name != "PIP_BUILD_CONSTRAINT"}
    ended = subprocess.run([*pip, "--target", str(site), str(project)], capture_output=True, text=True, env=env)
    assert ended.returncode == 0, ended.stderr
    return {**os.environ, "PYTHONPATH": str(site)}


def srbench(*words: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "srbench", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=1200)


@pytest.mark.parametrize(
    "kind",
    # The tests of a new suite and of a new backbone train networks.
    [pytest.param(kind, marks=pytest.mark.slow) if kind in ("suite", "backbone") else kind for kind in scaffold.KINDS],
)
def test_a_new_project_installs_passes_its_tests_and_the_doctor(kind: str, tmp_path: Path) -> None:
    project = scaffold.create(kind, "foo", tmp_path)
    assert list(tmp_path.iterdir()) == [project], "something was left beside it"
    assert not [path for path in project.rglob("*") if "{" in path.name or path.name.endswith(".jinja")]
    workflow = yaml.safe_load((project / ".github" / "workflows" / "tests.yml").read_text())
    commands = [step["run"] for step in workflow["jobs"]["tests"]["steps"] if "run" in step]
    assert commands == ['pip install -e ".[test]"', "python -m pytest", "srbench plugins doctor srbench-foo"]
    env = install(project, tmp_path / "site")
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    doctor = srbench("plugins", "doctor", "srbench-foo", "--time-limit", "600", "--json", "-", env=env, cwd=tmp_path)
    (report,) = json.loads(doctor.stdout)["plugins"]
    assert [f["cause"] for f in report["findings"] if f["status"] != "warning" or "import" not in f["cause"]] == []
    assert report["names"] == [f"{kind}s/foo"]


SUITE = """
name: short
scale: 2
models: [bicubic]
datasets: [embedded-test]
train: {data: embedded-train, iterations: 5, batch_size: 2, gt_size: 16, seed: 0}
"""


def test_a_new_method_comes_to_the_page_of_a_suite(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(SUITE)
    env = install(scaffold.create("method", "foo", tmp_path), tmp_path / "site")
    words = ("run", "--suite", "short.yaml", "--add", "edsr_tiny+foo", "--out", "run")
    ran = srbench(*words, env=env, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    page = (tmp_path / "run" / "leaderboard" / "index.html").read_text(encoding="utf-8")
    assert "edsr_tiny+foo" in page


# pip finds our wheels and no index, and builds with the setuptools of the environment.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
FROM_NOTHING = (
    "srbench new method foo",
    "pip install -e foo",
    "srbench check foo",
    "srbench run --suite quickstart --add edsr_tiny+foo",
)


@pytest.mark.slow
def test_from_nothing_a_method_comes_to_the_page_of_the_quickstart(
    tmp_path: Path, wheels: Path, record_property: Callable[[str, object], None]
) -> None:
    fresh = Environment(tmp_path, wheels)
    fresh.install("sr-bench[new,ps]")
    assert "foo" not in fresh.run("srbench", "list", "methods").stdout.split()
    seconds = {}
    for command in FROM_NOTHING:
        begun = time.perf_counter()
        done = fresh.run(*command.split(), PIP_FIND_LINKS=str(wheels), **OFFLINE)
        seconds[command] = time.perf_counter() - begun
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    steps = ", ".join(f"`{command}` {taken:.0f} s" for command, taken in seconds.items())
    record_property("wall time", f"{sum(seconds.values()):.0f} s: {steps}")
    leaderboard = tmp_path / "runs" / "quickstart" / "leaderboard"
    with (leaderboard / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        ranks = [row["rank"] for row in csv.DictReader(file) if row["model"].startswith("edsr_tiny+foo(")]
    assert len(ranks) == 1
    assert ranks[0].isdigit()
    assert "edsr_tiny+foo" in (leaderboard / "index.html").read_text(encoding="utf-8")


HOSTILE = [
    "", " ", "Foo", "1foo", "_foo", "foo-bar", "foo bar", "foo/bar", "../foo", "/tmp/foo", "foo\n", "foo\0", "~",
    "{{ 7 * 7 }}", "{% raw %}", "foo.py", "föö", "$(touch x)", "-rf", "con", "a" * 41, "foo\x1b[31m",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_name_that_is_none_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot name a plugin"):
        scaffold.create("method", name, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [("method", "dense"), ("method", "ps"), ("backbone", "bicubic"), ("metric", "psnr"), ("suite", "quickstart")],
)
def test_a_taken_name_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=name):
        scaffold.create(kind, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "foo").mkdir()
    with pytest.raises(ConfigError, match="exists"):
        scaffold.create("metric", "foo", tmp_path)
    assert list(tmp_path.rglob("*")) == [tmp_path / "foo"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(scaffold.TEMPLATES, templates)
    (templates / "v1" / "project" / "zzz.jinja").write_text("{{ 1 / 0 }}")
    monkeypatch.setattr(scaffold, "TEMPLATES", templates)
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ZeroDivisionError):
        scaffold.create("metric", "foo", tmp_path / "out" / "deeper")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SRBenchError, match="cannot be written"):
        scaffold.create("metric", "foo", tmp_path / "file")


def test_a_cache_that_cannot_be_written_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(SRBenchError, match=r"cannot be written: .*; set SRBENCH_CACHE"):
        scaffold.create("metric", "foo", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["copier", "git"])
def test_what_is_missing_is_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "copier":
        monkeypatch.setattr(scaffold, "find_spec", lambda name: None)
        match = r"sr-bench\[new\]"
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
        match = "needs git"
    with pytest.raises(ConfigError, match=match):
        scaffold.create("metric", "foo", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True
    ).stdout


def test_an_update_brings_the_new_template_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(scaffold.TEMPLATES, templates)
    monkeypatch.setattr(scaffold, "TEMPLATES", templates)
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    project = scaffold.create("metric", "foo", tmp_path)
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "as made")
    assert scaffold.update(project) == ("v1", "v1")
    assert git(project, "status", "--porcelain") == ""

    code = project / "src" / "srbench_foo" / "metric.py"
    code.write_text(code.read_text() + "\n\nMINE = 1\n")
    git(project, "commit", "--quiet", "--all", "--message", "mine")
    shutil.copytree(templates / "v1", templates / "v2")
    readme = templates / "v2" / "project" / "README.md.jinja"
    readme.write_text(readme.read_text() + "\nNew in version 2.\n")

    assert scaffold.update(project) == ("v1", "v2")
    assert "New in version 2." in (project / "README.md").read_text()
    assert "MINE = 1" in code.read_text()
    assert "_commit: v2" in (project / scaffold.ANSWERS).read_text()

    git(project, "commit", "--quiet", "--all", "--message", "updated")
    shutil.copytree(templates / "v2", templates / "v3")
    readme = templates / "v3" / "project" / "README.md.jinja"
    readme.write_text(readme.read_text() + "\nNew in version 3.\n")
    scaffold.template_repository()
    # Without questions; those of the template have their answers in the project.
    done = subprocess.run(
        [sys.executable, "-m", "copier", "update", "--defaults"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "New in version 3." in (project / "README.md").read_text()
    assert "MINE = 1" in code.read_text()
    assert "_commit: v3" in (project / scaffold.ANSWERS).read_text()


def test_an_update_of_what_is_no_project_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a project"):
        scaffold.update(tmp_path)
    project = scaffold.create("metric", "foo", tmp_path)
    with pytest.raises(ConfigError, match=r"not under git.*`git init`"):
        scaffold.update(project)
    answers = project / scaffold.ANSWERS
    answers.write_text(answers.read_text().replace("_src_path: ", "_src_path: elsewhere"))
    with pytest.raises(ConfigError, match="_src_path"):
        scaffold.update(project)
    answers.write_text("nothing")
    with pytest.raises(ConfigError, match="restore it"):
        scaffold.update(project)


LAUGHS = "_src_path: &a0 [x, x, x, x, x, x, x, x, x, x]\n_commit: v1\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    "text",
    [LAUGHS, "a: " + "[" * 5000, "a: &a [*a]\n", "a: [", "a: 2026-13-40\n"],
    ids=["laughs", "deep", "itself", "cut", "date"],
)
def test_answers_that_multiply_or_are_nested_deeply_are_one_sentence(text: str, tmp_path: Path) -> None:
    answers = tmp_path / scaffold.ANSWERS
    answers.write_text(text)
    with pytest.raises(ConfigError, match="restore it from git") as refused:
        scaffold.update(tmp_path)
    assert len(str(refused.value)) < 500
    assert answers.read_text() == text
