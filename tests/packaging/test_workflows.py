"""Workflows: actions pinned by hash, no secrets for pull requests, and commands that exist."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from srbench.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Commands that other branches add: they are checked as soon as they are there.
PENDING: set[tuple[str, ...]] = set()


def copied() -> list[str]:
    """Return the workflows that the guide shows, to be copied into other repositories."""
    text = (ROOT / "docs" / "gate.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    return blocks


TEXTS = {path.name: path.read_text() for path in FILES} | {f"gate.md-{n}": text for n, text in enumerate(copied())}


def read(name: str) -> dict[Any, Any]:
    content = yaml.safe_load(TEXTS[name])
    assert isinstance(content, dict)
    return content


def triggers(name: str) -> set[str]:
    on = read(name)[True]  # YAML 1.1 reads the key `on` so
    return {on} if isinstance(on, str) else set(on)


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in read(name)["jobs"].values():
        yield from job.get("steps", [])


def of_pull_requests() -> list[str]:
    return [name for name in TEXTS if triggers(name) & {"pull_request", "workflow_call"}]


def test_there_are_workflows() -> None:
    assert {"boards.yml", "check-submission.yml", "ci.yml", "submissions.yml"} <= TEXTS.keys()
    assert {"check-submission.yml", "ci.yml", "submissions.yml"} <= set(of_pull_requests())


@pytest.mark.parametrize("name", TEXTS)
class TestEveryWorkflow:
    def test_actions_are_pinned_by_hash_with_their_version(self, name: str) -> None:
        used = re.findall(r"^\s*(?:- )?uses: (.*)$", TEXTS[name], re.MULTILINE)
        assert used
        for action in used:
            if action.startswith("./"):
                continue
            # Only the guide leaves the commit of this repository to whoever copies it.
            commit = (
                "(?:[0-9a-f]{40}|COMMIT)" if name.startswith("gate.md") and "sr-bench" in action else "[0-9a-f]{40}"
            )
            assert re.fullmatch(rf"[\w./-]+@{commit}  # \S.*", action), action

    def test_a_token_can_only_read_unless_the_job_says_more(self, name: str) -> None:
        assert read(name)["permissions"] == {"contents": "read"}

    def test_nothing_runs_with_a_pull_requests_code_and_our_rights(self, name: str) -> None:
        assert not triggers(name) & {"pull_request_target", "workflow_run", "issue_comment"}

    def test_scripts_hold_no_expressions(self, name: str) -> None:
        """Law: a text from outside reaches a script through its environment, where it is no code."""
        for step in steps(name):
            assert "${{" not in step.get("run", ""), step


@pytest.mark.parametrize("name", of_pull_requests())
class TestOfPullRequests:
    def test_no_secrets_and_no_rights(self, name: str) -> None:
        assert not re.search(r"\bsecrets\b|github\.token|GITHUB_TOKEN", re.sub(r"#.*", "", TEXTS[name]))
        for job in read(name)["jobs"].values():
            assert job.get("permissions", {"contents": "read"}) == {"contents": "read"}
            machine = job.get("runs-on", "ubuntu-latest")  # a called workflow has its own
            machines = job["strategy"]["matrix"]["os"] if machine == "${{ matrix.os }}" else [machine]
            for one in machines:
                assert re.fullmatch(r"(ubuntu|macos|windows)-[\w.]+", one), "strangers' code runs on no machine of ours"

    def test_the_token_is_not_left_in_the_checkout(self, name: str) -> None:
        for step in steps(name):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


DROPS = "Replays that a pull request brings do not count"


def test_a_submission_is_checked_without_its_own_replays() -> None:
    """A stranger must not be able to say that a row was replayed here."""
    (job,) = read("check-submission.yml")["jobs"].values()
    names = [step.get("name", step.get("uses", "")) for step in job["steps"]]
    assert names.index(DROPS) == 1, "right after the checkout, before any command reads the list"
    assert names[0].startswith("actions/checkout@")
    foreign, other = job["steps"][1]["if"].split(" || ")
    assert foreign == "github.event.pull_request.head.repo.full_name != github.repository"
    assert other == "!startsWith(github.head_ref, 'boards/')", "only a branch that the chain pushed brings replays"


def test_a_submission_may_be_checked_against_a_suite() -> None:
    workflow = read("check-submission.yml")
    assert workflow[True]["workflow_call"]["inputs"]["suite"]["default"] == ""
    (job,) = workflow["jobs"].values()
    assert job["env"]["SUITE"] == "${{ inputs.suite }}"
    (script,) = (step["run"] for step in job["steps"] if "leaderboard check" in step.get("run", ""))
    assert 'suite=(--suite "$SUITE")' in script
    assert '"${suite[@]}" --replay' in script


@pytest.mark.skipif(shutil.which("bash") is None or shutil.which("git") is None, reason="there is no bash or no git")
def test_replays_that_a_pull_request_brings_are_those_of_the_base(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    git("init", "-q", "-b", "main")
    for board in ("old", "kept", "gone"):
        write(f"leaderboards/{board}/results/run.json", "{}")
        write(f"leaderboards/{board}/results/replays.json", "ours")
    git("add", "-A")
    git("commit", "-qm", "base")
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    git("checkout", "-qb", "contribution")
    write("leaderboards/old/results/replays.json", "forged")
    write("leaderboards/new/results/replays.json", "forged")
    write("leaderboards/new/results/run.json", "new")
    write("leaderboards/a b\n::error::c/results/replays.json", "forged")
    write("elsewhere/replays.json", "forged")
    write("leaderboards/link/results/notes.json", "forged")
    (tmp_path / "leaderboards/link/results/replays.json").symlink_to("notes.json")
    shutil.rmtree(tmp_path / "leaderboards/gone")
    git("add", "-A")
    git("commit", "-qm", "rows")

    (script,) = (step["run"] for step in steps("check-submission.yml") if step.get("name") == DROPS)
    environment = {**os.environ, "BASE": "main"}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    boards = tmp_path / "leaderboards"
    left = {path.parent.parent.name: path.read_text() for path in boards.rglob("replays.json")}
    assert left == {"old": "ours", "kept": "ours"}
    assert not (tmp_path / "elsewhere" / "replays.json").exists()
    assert (boards / "new" / "results" / "run.json").read_text() == "new", "nothing else is touched"
    assert (boards / "link" / "results" / "notes.json").exists()
    assert not any(line.startswith("::") for line in done.stdout.splitlines()), "a name gives no command to the runner"


def test_boards_are_filled_in_a_chain() -> None:
    jobs = read("boards.yml")["jobs"]
    assert list(jobs) == ["gpu", "records", "boards", "site"]
    assert [jobs[job].get("needs") for job in jobs] == [None, "gpu", "records", "boards"]
    assert jobs["gpu"]["runs-on"] == "${{ vars.GPU_RUNNER }}"
    assert [job for job in jobs if "permissions" in jobs[job]] == ["boards"]


def steps_of(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read("boards.yml")["jobs"][job]["steps"]
    return found


def script_of(job: str, words: str) -> str:
    """Return the only script of a job in boards.yml that contains the words."""
    (script,) = (step["run"] for step in steps_of(job) if words in step.get("run", ""))
    return str(script)


def position(job: str, words: str) -> int:
    (found,) = (
        index for index, step in enumerate(steps_of(job)) if words in f"{step.get('run', '')} {step.get('uses', '')}"
    )
    return found


def test_rows_are_replayed_and_pages_built_again_before_boards_are_handed_on() -> None:
    order = ("leaderboard submit", "leaderboard check", "leaderboard build", "upload-artifact")
    places = [position("records", words) for words in order]
    assert places == sorted(places)
    (built,) = (step for step in steps_of("records") if "leaderboard build" in step.get("run", ""))
    assert built["if"] == "github.event_name != 'push'", "exactly where outcomes are recorded"
    assert {"push", "schedule", "workflow_dispatch"} == triggers("boards.yml")


BASH = pytest.mark.skipif(shutil.which("bash") is None or shutil.which("git") is None, reason="no bash or no git")


@BASH
@pytest.mark.parametrize(("event", "records"), [("push", False), ("schedule", True), ("workflow_dispatch", True)])
def test_outcomes_are_recorded_unless_a_push_started_it(tmp_path: Path, event: str, records: bool) -> None:
    """A recorded outcome is a commit: recorded after each push, every merge would cause the next one."""
    for board in ("a", "b"):
        (tmp_path / "leaderboards" / board / "results").mkdir(parents=True)
    program = tmp_path / ".tox" / "tests" / "bin" / "srbench"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@" >> called\n')  # stands for measurements of many minutes
    program.chmod(0o755)
    environment = {**os.environ, "GITHUB_EVENT_NAME": event}
    script = script_of("records", "leaderboard check")
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True)
    ending = " --record" if records else ""
    assert (tmp_path / "called").read_text().splitlines() == [
        f"leaderboard check leaderboards/{board} --replay 3{ending}" for board in ("a", "b")
    ]


@pytest.mark.parametrize("job", ["boards", "site"])
def test_removed_files_do_not_come_back_from_the_checkout(job: str) -> None:
    places = [position(job, words) for words in ("actions/checkout@", "rm -rf leaderboards", "download-artifact")]
    assert places == sorted(places)


@BASH
def test_new_and_removed_files_are_pushed_to_a_branch(tmp_path: Path) -> None:
    def git(*arguments: str, cwd: Path = tmp_path / "checkout") -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *who, *arguments], cwd=cwd, check=True, capture_output=True, text=True)
        return done.stdout

    git("init", "-q", "--bare", "-b", "main", "origin.git", cwd=tmp_path)
    git("clone", "-q", "origin.git", "checkout", cwd=tmp_path)
    boards = tmp_path / "checkout" / "leaderboards"
    boards.mkdir()
    (boards / "stays").write_text("old")
    (boards / "goes").write_text("old")
    git("add", "-A")
    git("commit", "-qm", "boards")
    environment = {
        **os.environ, "GITHUB_RUN_ID": "7", "GITHUB_ACTOR": "someone", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }  # fmt: skip

    def run(script: str) -> None:
        subprocess.run(
            ["bash", "-e", "-c", script], cwd=tmp_path / "checkout", env=environment, check=True, capture_output=True
        )

    push = script_of("boards", "git push")
    run(push)
    assert "boards/7" not in git("ls-remote", "origin"), "nothing is pushed if nothing has changed"
    run(script_of("boards", "rm -rf leaderboards"))
    boards.mkdir()  # the artifact
    (boards / "stays").write_text("new")
    (boards / "added").write_text("new")
    run(push)
    listed = git("ls-tree", "-r", "--name-only", "boards/7", cwd=tmp_path / "origin.git").split()
    assert listed == ["leaderboards/added", "leaderboards/stays"]
    assert git("show", "boards/7:leaderboards/stays", cwd=tmp_path / "origin.git") == "new"
    assert "boards/7" in (tmp_path / "summary").read_text(), "the run says which branch to open a pull request of"


def test_the_site_is_deployed_from_main_only() -> None:
    deploying = [name for name in TEXTS if "deploy-pages@" in TEXTS[name]]
    assert deploying == ["docs.yml"]
    assert read("docs.yml")[True]["push"] == {"branches": ["main"]}
    assert "srbench leaderboard site leaderboards" in TEXTS["docs.yml"]
    for path in ("docs/gate.md", "CONTRIBUTING.md"):
        assert "docs.yml" in (ROOT / path).read_text(), "the route of new rows to the site is described"


def commands(name: str) -> Iterator[list[str]]:
    """Yield the words of each `srbench` command of a workflow's scripts."""
    for step in steps(name):
        script = step.get("run", "").replace("\\\n", " ")
        for line in script.splitlines():
            if found := re.search(r"(?:^|\s|/)srbench (?!\.)(.*)$", line.partition(" # ")[0]):
                yield shlex.split(found[1].partition(" | ")[0].partition(";")[0])


CALLS = [(name, words) for name in TEXTS for words in commands(name)]


def test_workflows_call_all_commands_of_a_submission() -> None:
    called = {tuple(words[:2]) for _, words in CALLS}
    assert {("leaderboard", name) for name in ("build", "check", "gate", "index", "site", "submit")} <= called


@pytest.mark.parametrize(("name", "words"), CALLS, ids=lambda value: value if isinstance(value, str) else value[1])
def test_commands_and_options_exist(name: str, words: list[str]) -> None:
    command: click.Command = typer.main.get_command(app)
    path: list[str] = []
    while children := getattr(command, "commands", None):
        path.append(words[len(path)])
        if path[-1] not in children and tuple(path) in PENDING:
            pytest.skip(f"{' '.join(path)} is not there yet")
        assert path[-1] in children, f"there is no srbench {' '.join(path)}"
        command = children[path[-1]]
    options = {text for parameter in command.params for text in (*parameter.opts, *parameter.secondary_opts)}
    for word in words[len(path) :]:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"srbench {' '.join(path)} has no {word}"


def test_updates_are_looked_for_in_actions_and_pins() -> None:
    content = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())
    assert content["version"] == 2
    updates = {update["package-ecosystem"]: update for update in content["updates"]}
    assert set(updates) == {"github-actions", "pip"}
    for update in updates.values():
        assert (ROOT / update["directory"].strip("/")).is_dir()
        assert update["schedule"]["interval"] in ("daily", "weekly", "monthly")
    assert {one["dependency-name"] for one in updates["pip"]["ignore"]} == {"torch", "torchvision"}


ISSUE_FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_there_are_issue_forms_and_their_configuration() -> None:
    assert [path.name for path in ISSUE_FORMS] == ["bug.yml", "config.yml", "network.yml"]
    assert yaml.safe_load((ISSUE_FORMS[1]).read_text()) == {"blank_issues_enabled": True}


@pytest.mark.parametrize("name", ["bug.yml", "network.yml"])
def test_issue_forms_have_the_fields_that_github_asks_for(name: str) -> None:
    content = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text())
    assert set(content) <= {"name", "description", "title", "labels", "assignees", "projects", "type", "body"}
    assert content["name"]
    assert content["description"]
    inputs = [field for field in content["body"] if field["type"] != "markdown"]
    assert inputs
    assert {field["type"] for field in inputs} <= {"checkboxes", "dropdown", "input", "textarea"}
    assert len({field["id"] for field in inputs}) == len(inputs)
    for field in inputs:
        assert field["attributes"]["label"]
        assert set(field) <= {"type", "id", "attributes", "validations"}
        assert all(option["label"] for option in field["attributes"].get("options", []))


def test_environments_of_tox_exist() -> None:
    called = {name for text in TEXTS.values() for name in re.findall(r"tox run -e ([\w,-]+)", text)}
    known = set(re.findall(r"^\[testenv:(\w+)\]", (ROOT / "tox.ini").read_text(), re.MULTILINE))
    assert {one for names in called for one in names.split(",")} <= known
